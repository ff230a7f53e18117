// circa.protocols._kernels: checks shapes, drops the GIL, calls the kernels for this processor.
// Importing it raises ImportError on a processor without AES instructions, and Python then uses its own versions.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <new>
#include <string>
#include <vector>

#include "kernels.h"
#include "labels.h"
#include "packing.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

std::vector<const circa::Kernels*> supported() {  // the best first
  __builtin_cpu_init();
  std::vector<const circa::Kernels*> levels;
  if (!__builtin_cpu_supports("aes") || !__builtin_cpu_supports("sse4.1")) return levels;
  if (__builtin_cpu_supports("vaes") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    levels.push_back(&circa::kVaes);
  levels.push_back(&circa::kAesni);
  return levels;
}

const circa::Kernels* active = nullptr;

template <class T, nb::ssize_t... N>
using Of = nb::ndarray<T, nb::shape<N...>, nb::c_contig, nb::device::cpu>;

using Blocks = Of<const uint64_t, -1, 2>;
using OutBlocks = Of<uint64_t, -1, 2>;
using Delta = Of<const uint64_t, 2>;
using Labels = Of<const uint64_t, -1, -1, 2>;
using OutLabels = Of<uint64_t, -1, -1, 2>;
using Bytes = Of<const uint8_t, -1>;
using Matrix = Of<const uint8_t, -1, -1>;
using OutMatrix = Of<uint8_t, -1, -1>;
using Slots = Of<const int32_t, -1>;
template <class T>
using Values = Of<T, -1>;

template <class A>
auto bytes(const A& array) {
  using Word = std::remove_pointer_t<decltype(array.data())>;
  using Byte = std::conditional_t<std::is_const_v<Word>, const uint8_t, uint8_t>;
  return reinterpret_cast<Byte*>(array.data());
}

void require(bool ok, const char* what) {
  if (!ok) throw nb::value_error(what);
}

void require_rows(size_t rows, size_t width, size_t columns) {
  require(rows == 128, "the matrix needs 128 rows");
  require(width == (columns + 7) / 8, "the matrix does not have as many columns as there are blocks");
}

// The arrays of circuit.py. A circuit may come from a file, so every slot number is checked.
circa::Circuit checked(const Bytes& op, const Slots& a, const Slots& b, const Slots& out, size_t slots,
                       const Slots& outputs, size_t inputs, size_t table_rows) {
  const size_t gates = op.shape(0);
  require(a.shape(0) == gates && b.shape(0) == gates && out.shape(0) == gates, "op, a, b and out differ in length");
  require(inputs <= slots, "more inputs than slots");
  const auto inside = [slots](int32_t slot) { return slot >= 0 && static_cast<size_t>(slot) < slots; };
  size_t ands = 0;
  for (size_t i = 0; i < gates; i++) {
    require(op.data()[i] <= circa::kClear, "a gate is none of XOR, AND, INV, CLEAR");
    require(inside(a.data()[i]) && inside(b.data()[i]) && inside(out.data()[i]), "a gate's slot is out of range");
    ands += op.data()[i] == circa::kAnd;
  }
  for (size_t i = 0; i < outputs.shape(0); i++) require(inside(outputs.data()[i]), "an output's slot is out of range");
  require(ands == table_rows, "the tables do not fit the number of AND gates");
  return {op.data(), a.data(), b.data(), out.data(), gates, slots, 0, 0, 0, outputs.data(), outputs.shape(0)};
}

// Runs one of the two roles with memory for a block of instances.
void run(void (*role)(const circa::Batch&, const circa::Scratch&), const circa::Batch& batch) {
  constexpr size_t kCache = 1 << 18, kMost = 512, kLeast = 16;  // bytes of labels; instances
  const size_t slots = std::max<size_t>(batch.circuit.slots, 1);
  const size_t block = std::clamp(kCache / (16 * slots) / 16 * 16, kLeast, kMost);
  struct Line {
    alignas(64) uint8_t bytes[64];
  };
  std::vector<Line> memory(slots * block / 4);
  std::vector<const uint8_t*> wires(slots);
  role(batch, {block, memory.data()->bytes, wires.data()});
}

}  // namespace

namespace circa {
const Kernels& selected() { return *active; }
void bind_rlwe(nb::module_& m);
void bind_conv(nb::module_& m);
void bind_samplers(nb::module_& m);
void bind_ot(nb::module_& m);
}  // namespace circa

NB_MODULE(_kernels, m) {
  if (supported().empty()) throw nb::import_error("this processor has no AES instructions");
  active = supported().front();
  nb::set_leak_warnings(false);  // a daemon thread that outlives Python's end keeps types alive, rightly
  m.attr("interface") = CIRCA_INTERFACE;
  circa::bind_conv(m);

  m.def("level", [] { return std::string(active->name); });
  m.def("levels", [] {
    std::vector<std::string> names;
    for (const auto* level : supported()) names.emplace_back(level->name);
    return names;
  });
  m.def("select", [](const std::string& name) {
    for (const auto* level : supported())
      if (name == level->name) return void(active = level);
    throw nb::value_error("this processor does not have that level");
  }, "level"_a);

  m.def("tccr", [](Blocks x, uint64_t tweak, OutBlocks out) {
    require(x.shape(0) == out.shape(0), "x and out differ in length");
    const nb::gil_scoped_release free;
    active->tccr(bytes(x), bytes(out), x.shape(0), tweak);
  }, "x"_a.noconvert(), "tweak"_a, "out"_a.noconvert());

  m.def("cot_pads", [](Blocks K, Delta delta, uint64_t tweak, OutBlocks zero, OutBlocks one) {
    require(K.shape(0) == zero.shape(0) && K.shape(0) == one.shape(0), "K, zero and one differ in length");
    const nb::gil_scoped_release free;
    active->cot_pads(bytes(K), bytes(delta), bytes(zero), bytes(one), K.shape(0), tweak);
  }, "K"_a.noconvert(), "delta"_a.noconvert(), "tweak"_a, "zero"_a.noconvert(), "one"_a.noconvert());

  m.def("expand", [](Of<const uint8_t, -1, 16> keys, uint64_t first, OutMatrix out) {
    require(out.shape(0) == keys.shape(0), "a key for each row");
    require(out.shape(1) % 16 == 0, "a row has whole blocks");
    const nb::gil_scoped_release free;
    active->expand(keys.data(), keys.shape(0), first, out.data(), out.shape(1) / 16);
  }, "keys"_a.noconvert(), "first"_a, "out"_a.noconvert());

  m.def("columns", [](Matrix rows, OutBlocks out) {
    require_rows(rows.shape(0), rows.shape(1), out.shape(0));
    const nb::gil_scoped_release free;
    active->columns(rows.data(), rows.shape(1), bytes(out), out.shape(0));
  }, "rows"_a.noconvert(), "out"_a.noconvert());

  const auto pack = [](auto values, size_t width, Values<uint8_t> out) {
    require(1 <= width && width <= 64, "a packed value has 1 to 64 bits");
    require(out.shape(0) == circa::packed_size(values.shape(0), width), "out does not have the packed size");
    const nb::gil_scoped_release free;
    circa::pack(values.data(), values.shape(0), width, out.data());
  };
  m.def("pack", [pack](Values<const uint32_t> values, size_t width, Values<uint8_t> out) {
    pack(values, width, out);
  }, "values"_a.noconvert(), "width"_a, "out"_a.noconvert());
  m.def("pack", [pack](Values<const uint64_t> values, size_t width, Values<uint8_t> out) {
    pack(values, width, out);
  }, "values"_a.noconvert(), "width"_a, "out"_a.noconvert());

  m.def("unpack", [](Bytes packed, size_t width, Values<uint64_t> out) {
    require(1 <= width && width <= 64, "a packed value has 1 to 64 bits");
    require(packed.shape(0) == circa::packed_size(out.shape(0), width), "packed does not have the packed size");
    const nb::gil_scoped_release free;
    circa::unpack(packed.data(), out.shape(0), width, out.data());
  }, "packed"_a.noconvert(), "width"_a, "out"_a.noconvert());

  m.def("encode", [](Labels zero, Delta delta, Matrix bits, OutLabels out) {
    const size_t wires = zero.shape(0), n = zero.shape(1);
    require(bits.shape(0) == wires && out.shape(0) == wires && bits.shape(1) == n && out.shape(1) == n,
            "zero, bits and out differ in shape");
    const nb::gil_scoped_release free;
    circa::encode(zero.data(), delta.data(), bits.data(), wires * n, out.data());
  }, "zero"_a.noconvert(), "delta"_a.noconvert(), "bits"_a.noconvert(), "out"_a.noconvert());

  m.def("colours", [](Labels labels, OutMatrix out) {
    require(labels.shape(0) == out.shape(0) && labels.shape(1) == out.shape(1), "labels and out differ in shape");
    const nb::gil_scoped_release free;
    circa::colours(labels.data(), out.shape(0) * out.shape(1), out.data());
  }, "labels"_a.noconvert(), "out"_a.noconvert());

  m.def("words", [](Of<const uint8_t, -1, -1, -1> bits, size_t width, Of<uint32_t, -1, -1> out) {
    const size_t wires = bits.shape(1), n = bits.shape(2);
    require(width <= wires && width <= 32, "a word has at most 32 bits, and no more than there are wires");
    require(bits.shape(0) == out.shape(0) && n == out.shape(1), "bits and out differ in shape");
    const nb::gil_scoped_release free;
    for (size_t image = 0; image < out.shape(0); image++)
      circa::words(bits.data() + image * wires * n, width, n, out.data() + image * n);
  }, "bits"_a.noconvert(), "width"_a, "out"_a.noconvert());

  m.def("garble", [](Bytes op, Slots a, Slots b, Slots out, size_t slots, Slots output_slots, Labels garbler,
                     Matrix fixed, Labels evaluator, Delta delta, uint64_t tweak, Of<uint64_t, -1, 2, -1, 2> tables,
                     OutLabels outputs) {
    const size_t n = outputs.shape(1), inputs = garbler.shape(0) + fixed.shape(0) + evaluator.shape(0);
    require(garbler.shape(1) == n && fixed.shape(1) == n && evaluator.shape(1) == n && tables.shape(2) == n,
            "the arrays differ in their number of instances");
    require(outputs.shape(0) == output_slots.shape(0), "the outputs do not fit the circuit");
    const nb::gil_scoped_release free;
    circa::Circuit circuit = checked(op, a, b, out, slots, output_slots, inputs, tables.shape(0));
    circuit.garbler_inputs = garbler.shape(0), circuit.fixed_inputs = fixed.shape(0);
    circuit.evaluator_inputs = evaluator.shape(0);
    run(active->garble, {circuit, n, tweak, bytes(delta), bytes(garbler), fixed.data(), bytes(evaluator),
                         bytes(tables), bytes(outputs)});
  }, "op"_a.noconvert(), "a"_a.noconvert(), "b"_a.noconvert(), "out"_a.noconvert(), "slots"_a,
     "output_slots"_a.noconvert(), "garbler"_a.noconvert(), "fixed"_a.noconvert(), "evaluator"_a.noconvert(),
     "delta"_a.noconvert(), "tweak"_a, "tables"_a.noconvert(), "outputs"_a.noconvert());

  m.def("evaluate", [](Bytes op, Slots a, Slots b, Slots out, size_t slots, Slots output_slots, Labels garbler,
                       size_t fixed_inputs, Labels evaluator, uint64_t tweak, Of<const uint64_t, -1, 2, -1, 2> tables,
                       OutLabels outputs) {
    const size_t n = outputs.shape(1), inputs = garbler.shape(0) + fixed_inputs + evaluator.shape(0);
    require(garbler.shape(1) == n && evaluator.shape(1) == n && tables.shape(2) == n,
            "the arrays differ in their number of instances");
    require(outputs.shape(0) == output_slots.shape(0), "the outputs do not fit the circuit");
    const nb::gil_scoped_release free;
    circa::Circuit circuit = checked(op, a, b, out, slots, output_slots, inputs, tables.shape(0));
    circuit.garbler_inputs = garbler.shape(0), circuit.fixed_inputs = fixed_inputs;
    circuit.evaluator_inputs = evaluator.shape(0);
    run(active->evaluate, {circuit, n, tweak, nullptr, bytes(garbler), nullptr, bytes(evaluator),
                           const_cast<uint8_t*>(bytes(tables)), bytes(outputs)});
  }, "op"_a.noconvert(), "a"_a.noconvert(), "b"_a.noconvert(), "out"_a.noconvert(), "slots"_a,
     "output_slots"_a.noconvert(), "garbler"_a.noconvert(), "fixed_inputs"_a, "evaluator"_a.noconvert(),
     "tweak"_a, "tables"_a.noconvert(), "outputs"_a.noconvert());

  circa::bind_rlwe(m);
  circa::bind_samplers(m);
  circa::bind_ot(m);
}
