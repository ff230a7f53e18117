// Half-gates garbling of one circuit on many instances, in the letters of garbling/halfgates.py. Instances are taken a
// block at a time, each block through the whole circuit, so that live labels stay in the cache.
#pragma once

#include <cstring>

#include "aes.h"
#include "kernels.h"

namespace {

// Every label and table row goes on in the next block of instances, one block further, but the walk comes back to it
// only after all the other rows: too late for the processor to look ahead by itself. Any address may be asked for.
inline void prefetch(const uint8_t* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1); }

// An AND gate on one block of instances: pointers and tweaks of its first instance. c may be a or b.
struct And {
  const uint8_t *a, *b;
  uint8_t *c, *TG, *TE;
  uint64_t j_a, j_b;
};

template <class V, size_t U>
size_t garble_and(const Rounds<V>& pi, V delta, const And& g, size_t i, size_t n) {
  const V sigma_delta = delta.sigma();
  for (; i + U * V::kBlocks <= n; i += U * V::kBlocks) {
    V a[U], b[U], s[4 * U], h[4 * U];  // for each vector: a^0, a^1, b^0, b^1
    for (size_t u = 0; u < U; u++) {
      const size_t at = i + u * V::kBlocks;
      a[u] = V::load(g.a + 16 * at);
      b[u] = V::load(g.b + 16 * at);
      s[4 * u] = a[u].sigma() ^ V::tweaks(g.j_a + at);
      s[4 * u + 1] = s[4 * u] ^ sigma_delta;
      s[4 * u + 2] = b[u].sigma() ^ V::tweaks(g.j_b + at);
      s[4 * u + 3] = s[4 * u + 2] ^ sigma_delta;
    }
    for (size_t m = 0; m < 4 * U; m++) h[m] = s[m];
    pi.template encrypt<4 * U>(h);
    for (size_t u = 0; u < U; u++) {
      const size_t at = 16 * (i + u * V::kBlocks);
      const V p_a = a[u].lsb_mask(), p_b = b[u].lsb_mask();
      // H(x^0) ^ H(x^1): the feed-forwards of the two differ by sigma(delta)
      const V TG = h[4 * u] ^ h[4 * u + 1] ^ sigma_delta ^ (p_b & delta);
      const V TE_a = h[4 * u + 2] ^ h[4 * u + 3] ^ sigma_delta;
      TG.stream(g.TG + at);
      (TE_a ^ a[u]).stream(g.TE + at);
      const V H = h[4 * u] ^ s[4 * u] ^ h[4 * u + 2] ^ s[4 * u + 2];
      (H ^ (p_a & TG) ^ (p_b & TE_a)).store(g.c + at);
    }
  }
  return i;
}

template <class V, size_t U>
size_t evaluate_and(const Rounds<V>& pi, const And& g, size_t i, size_t n) {
  for (; i + U * V::kBlocks <= n; i += U * V::kBlocks) {
    V a[U], b[U], s[2 * U], h[2 * U];
    for (size_t u = 0; u < U; u++) {
      const size_t at = i + u * V::kBlocks;
      a[u] = V::load(g.a + 16 * at);
      b[u] = V::load(g.b + 16 * at);
      s[2 * u] = a[u].sigma() ^ V::tweaks(g.j_a + at);
      s[2 * u + 1] = b[u].sigma() ^ V::tweaks(g.j_b + at);
    }
    for (size_t m = 0; m < 2 * U; m++) h[m] = s[m];
    pi.template encrypt<2 * U>(h);
    for (size_t u = 0; u < U; u++) {
      const size_t at = 16 * (i + u * V::kBlocks);
      prefetch(g.TG + at + 16 * n);
      prefetch(g.TE + at + 16 * n);
      const V TG = V::load(g.TG + at), TE_a = V::load(g.TE + at) ^ a[u];
      const V H = h[2 * u] ^ s[2 * u] ^ h[2 * u + 1] ^ s[2 * u + 1];
      (H ^ (a[u].lsb_mask() & TG) ^ (b[u].lsb_mask() & TE_a)).store(g.c + at);
    }
  }
  return i;
}

struct Garbler {
  Rounds<Wide> wide{fixed_key()};
  Rounds<One> one{fixed_key()};
  One delta;

  void operator()(const And& g, size_t n) const {
    size_t i = garble_and<Wide, 2>(wide, Wide::broadcast(delta.v), g, 0, n);
    i = garble_and<Wide, 1>(wide, Wide::broadcast(delta.v), g, i, n);
    garble_and<One, 1>(one, delta, g, i, n);
  }
};

struct Evaluator {
  Rounds<Wide> wide{fixed_key()};
  Rounds<One> one{fixed_key()};

  void operator()(const And& g, size_t n) const {
    size_t i = evaluate_and<Wide, 4>(wide, g, 0, n);
    i = evaluate_and<Wide, 1>(wide, g, i, n);
    evaluate_and<One, 1>(one, g, i, n);
  }
};

// c = a ^ b; n may be any number: a slot has room for whole vectors, but an input may not.
inline void xor_labels(const uint8_t* a, const uint8_t* b, uint8_t* c, size_t n) {
  size_t i = 0;
  for (; i + Wide::kBlocks <= n; i += Wide::kBlocks) (Wide::load(a + 16 * i) ^ Wide::load(b + 16 * i)).store(c + 16 * i);
  for (; i < n; i++) (One::load(a + 16 * i) ^ One::load(b + 16 * i)).store(c + 16 * i);
}

inline void xor_constant(const uint8_t* a, One x, uint8_t* c, size_t n) {
  for (size_t i = 0; i < n; i++) (One::load(a + 16 * i) ^ x).store(c + 16 * i);
}

// The gates in order on instances start to start + n - 1. `x` is what INV adds: delta for the garbler, 0 for the evaluator.
template <class Role>
void walk(const Role& role, One x, const circa::Batch& batch, const circa::Scratch& scratch, size_t start, size_t n) {
  const circa::Circuit& circuit = batch.circuit;
  const size_t stride = 16 * batch.instances;
  const auto slot = [&](int32_t k) { return scratch.slots + 16 * scratch.block * static_cast<size_t>(k); };
  size_t row = 0;  // of the tables, two for each AND
  for (size_t i = 0; i < circuit.gates; i++) {
    const uint8_t* a = scratch.wires[circuit.a[i]];
    const uint8_t* b = scratch.wires[circuit.b[i]];
    uint8_t* c = slot(circuit.out[i]);
    if (circuit.op[i] == circa::kXor) {
      xor_labels(a, b, c, n);
    } else if (circuit.op[i] == circa::kInv) {
      xor_constant(a, x, c, n);
    } else if (circuit.op[i] == circa::kClear) {
      std::memset(c, 0, 16 * n);
    } else {
      uint8_t* TG = batch.tables + stride * row + 16 * start;
      const uint64_t tweak = batch.tweak + row * batch.instances + start;
      role(And{a, b, c, TG, TG + stride, tweak, tweak + batch.instances}, n);
      row += 2;
    }
    scratch.wires[circuit.out[i]] = c;
  }
}

template <class Role>
void run(const Role& role, One x, const circa::Batch& batch, const circa::Scratch& scratch) {
  const circa::Circuit& circuit = batch.circuit;
  const size_t stride = 16 * batch.instances;
  for (size_t start = 0; start < batch.instances; start += scratch.block) {
    const size_t n = batch.instances - start < scratch.block ? batch.instances - start : scratch.block;
    for (size_t k = 0; k < circuit.slots; k++) scratch.wires[k] = scratch.slots + 16 * scratch.block * k;
    size_t wire = 0;
    const auto inputs = [&](const uint8_t* labels, size_t count) {
      for (size_t k = 0; k < count; k++) {
        const uint8_t* first = labels + stride * k + 16 * start;
        for (size_t i = 0; i < n; i += 4) prefetch(first + 16 * (n + i));
        scratch.wires[wire++] = first;
      }
    };
    inputs(batch.garbler, circuit.garbler_inputs);
    for (size_t k = 0; k < circuit.fixed_inputs; k++) {  // zero label v delta, active label 0
      uint8_t* labels = scratch.slots + 16 * scratch.block * wire++;
      const uint8_t* bits = batch.fixed ? batch.fixed + batch.instances * k + start : nullptr;
      for (size_t i = 0; i < n; i++) {
        const char mask = bits && bits[i] ? -1 : 0;
        (x & One{_mm_set1_epi8(mask)}).store(labels + 16 * i);
      }
    }
    inputs(batch.evaluator, circuit.evaluator_inputs);
    walk(role, x, batch, scratch, start, n);
    for (size_t k = 0; k < circuit.output_count; k++)
      std::memcpy(batch.outputs + stride * k + 16 * start, scratch.wires[circuit.outputs[k]], 16 * n);
  }
}

void garble(const circa::Batch& batch, const circa::Scratch& scratch) {
  Garbler role;
  role.delta = One::load(batch.delta);
  run(role, role.delta, batch, scratch);
  _mm_sfence();  // the streamed tables are there for every thread
}

void evaluate(const circa::Batch& batch, const circa::Scratch& scratch) {
  run(Evaluator{}, One{_mm_setzero_si128()}, batch, scratch);
}

}  // namespace
