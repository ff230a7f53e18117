// circa.protocols._kernels.Convolution: plans an exact linear layer (conv.h), and runs it for each image and band of
// rows, on as many threads as it is given.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <tuple>
#include <vector>

#include "conv.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using circa::ConvAxis;
using circa::ConvKernels;
using circa::ConvTask;

constexpr int64_t kBandBytes = 3 << 17;      // of rearranged inputs, which the second cache should hold
constexpr int64_t kMostWords = 1 << 28;      // of rearranged inputs
constexpr int64_t kThreadProducts = 1 << 21;  // less than that is not worth a thread

std::vector<const ConvKernels*> supported() {  // the best first
  __builtin_cpu_init();
  std::vector<const ConvKernels*> levels;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
    levels.push_back(&circa::kConvVnni);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) levels.push_back(&circa::kConvAvx2);
  return levels;
}

void require(bool ok, const char* what) {
  if (!ok) throw nb::value_error(what);
}

int64_t ceiling(int64_t a, int64_t b) { return (a + b - 1) / b; }

// An axis, and where each tap reads: its phase's place among the phases in use, and its column there.
struct Axis {
  ConvAxis plan{};
  std::vector<circa::ConvPhase> phases;
  std::vector<int64_t> phase_of, place_of;

  Axis(int64_t size, int64_t kernel, int64_t stride, int64_t before, int64_t after, int64_t dilation) {
    for (const int64_t value : {size, kernel, stride, dilation})
      require(1 <= value && value <= 1 << 20, "a size is out of range");
    for (const int64_t value : {before, after}) require(0 <= value && value <= 1 << 20, "a padding is out of range");
    const int64_t room = before + size + after - ((kernel - 1) * dilation + 1);
    require(room >= 0, "the kernel does not fit");
    plan = {size, stride, room / stride + 1, (kernel - 1) * dilation / stride, nullptr, 0};
    std::vector<int64_t> used;
    for (int64_t tap = 0; tap < kernel; tap++) used.push_back(tap * dilation % stride);
    std::sort(used.begin(), used.end());
    used.erase(std::unique(used.begin(), used.end()), used.end());
    for (int64_t tap = 0; tap < kernel; tap++) {
      phase_of.push_back(std::lower_bound(used.begin(), used.end(), tap * dilation % stride) - used.begin());
      place_of.push_back(tap * dilation / stride);
    }
    for (const int64_t remainder : used) {
      const int64_t shift = before - remainder, length = plan.outputs + plan.reach;
      const int64_t from = std::min(shift > 0 ? ceiling(shift, stride) : 0, length);
      const int64_t to = size + shift > 0 ? std::clamp(ceiling(size + shift, stride), from, length) : from;
      phases.push_back({shift, from, to});
    }
    plan.phases = phases.data(), plan.phase_count = static_cast<int64_t>(phases.size());
  }
};

template <class T>
struct Aligned {  // zeros, on a cache line
  std::vector<T> memory;
  T* data = nullptr;

  void resize(size_t n) {
    memory.assign(n + 64 / sizeof(T), T{});
    const uintptr_t start = reinterpret_cast<uintptr_t>(memory.data());
    data = memory.data() + ((64 - start % 64) % 64) / sizeof(T);
  }
};

using Weights = nb::ndarray<const int16_t, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Input = nb::ndarray<const uint32_t, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<uint32_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Bias = nb::ndarray<const uint32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Pair = std::vector<int64_t>;

class Convolution {
 public:
  // modulus: 0 for the ring 2^32.
  Convolution(const Weights& weights, const Bias& bias, const Pair& size, const Pair& stride, const Pair& padding,
              const Pair& dilation, int64_t groups, uint32_t modulus, const std::string& level)
      : rows_(axis(weights, size, stride, padding, dilation, 0)),
        columns_(axis(weights, size, stride, padding, dilation, 1)) {
    for (const ConvKernels* each : supported())
      if (level == each->name) kernels_ = each;
    require(kernels_ != nullptr, "this processor does not have that level");
    const int64_t outputs = static_cast<int64_t>(weights.shape(0)), taps = kernel(weights, 0) * kernel(weights, 1);
    require(1 <= groups && groups <= outputs && outputs % groups == 0, "the groups do not divide the outputs");
    require(static_cast<int64_t>(bias.shape(0)) == outputs, "a bias for each output channel");
    require(weights.shape(1) > 0, "the weights are empty");
    require(modulus < (1u << 31) - (1u << 16), "the modulus is too large");  // its digits would not fit 16 bits
    plan_.rows = rows_.plan, plan_.columns = columns_.plan;
    plan_.groups = groups, plan_.inputs = static_cast<int64_t>(weights.shape(1)), plan_.outputs = outputs / groups;
    plan_.ring = modulus == 0, plan_.modulus = modulus;
    plan_.flat = taps == 1;
    plan_.matrix = taps == 1 && size[0] == 1 && size[1] == 1 && rows_.plan.outputs * columns_.plan.outputs == 1;
    if (plan_.matrix) rows_.phases[0].to = INT64_MAX;  // as many rows as there are images
    choose(taps);
    layout();
    if (plan_.along_rows) plan_.ring ? keep_values<uint32_t>(weights) : keep_values<double>(weights);
    else pack(weights);
    const int64_t lanes = plan_.along_rows ? 1 : plan_.vectors * kernels_->width, each = plan_.blocks / groups;
    bias_.resize(static_cast<size_t>(plan_.blocks * lanes));
    for (int64_t m = 0; m < outputs; m++)
      bias_.data[m / plan_.outputs * each * lanes + m % plan_.outputs] = bias.data()[m];
    plan_.bias = bias_.data;
  }

  Convolution(const Convolution&) = delete;

  void apply(const Input& x, const Output& y, int64_t threads) const {
    const int64_t inputs = plan_.groups * plan_.inputs, outputs = plan_.groups * plan_.outputs;
    const int64_t pixels = plan_.rows.outputs * plan_.columns.outputs, batch = static_cast<int64_t>(x.shape(0));
    require(static_cast<int64_t>(x.shape(1)) == inputs && static_cast<int64_t>(x.shape(2)) == plan_.rows.size &&
                static_cast<int64_t>(x.shape(3)) == plan_.columns.size,
            "x has another shape than the layer");
    require(y.shape(0) == x.shape(0) && static_cast<int64_t>(y.shape(1)) == outputs &&
                static_cast<int64_t>(y.shape(2)) == pixels,
            "y has another shape than the layer's outputs");
    const nb::gil_scoped_release free;
    if (batch == 0) return;
    // A task is a band of rows of an image (of a matrix: a band of images), split by outputs where that gives too few.
    const int64_t images = plan_.matrix ? 1 : batch, height = plan_.matrix ? batch : plan_.rows.outputs;
    const int64_t products = batch * pixels * outputs * plan_.inputs * kernel_;
    threads = std::clamp<int64_t>(products / kThreadProducts, 1, std::max<int64_t>(threads, 1));
    const int64_t bands = ceiling(height, plan_.band);
    const int64_t parts = std::min(plan_.blocks, images * bands < threads ? ceiling(threads, images * bands) : 1);
    std::vector<std::unique_ptr<int32_t[]>> memory;  // here, where it may fail: nothing throws in a thread
    for (int64_t i = 0; i < threads; i++) memory.emplace_back(new int32_t[static_cast<size_t>(words_) + 16]);
    std::atomic<int64_t> next{0};
    const auto work = [&](int32_t* start) noexcept {
      int32_t* scratch = start + (64 - reinterpret_cast<uintptr_t>(start) % 64) % 64 / 4;
      for (int64_t i = next++; i < images * bands * parts; i = next++) {
        const int64_t part = i % parts, band = i / parts % bands, image = i / parts / bands;
        const int64_t first = height * band / bands, end = height * (band + 1) / bands;
        kernels_->run(plan_, {x.data() + image * inputs * plan_.rows.size * plan_.columns.size,
                              y.data() + image * outputs * pixels, first, end - first, plan_.blocks * part / parts,
                              plan_.blocks * (part + 1) / parts}, scratch);
      }
    };
    std::vector<std::thread> others;
    others.reserve(memory.size());
    try {
      for (size_t i = 1; i < memory.size(); i++) others.emplace_back(work, memory[i].get());
    } catch (const std::system_error&) {  // then fewer do all of it
    }
    work(memory[0].get());
    for (std::thread& other : others) other.join();
  }

 private:
  static int64_t kernel(const Weights& weights, int i) {
    return static_cast<int64_t>(weights.shape(2 + static_cast<size_t>(i)));
  }

  static Axis axis(const Weights& weights, const Pair& size, const Pair& stride, const Pair& padding,
                   const Pair& dilation, int i) {
    require(size.size() == 2 && stride.size() == 2 && padding.size() == 4 && dilation.size() == 2,
            "size, stride and dilation are pairs, padding is (top, bottom, left, right)");
    const size_t j = static_cast<size_t>(i);
    return {size[j], kernel(weights, i), stride[j], padding[2 * j], padding[2 * j + 1], dilation[j]};
  }

  // The better of the two ways, by the number of instructions on vectors.
  void choose(int64_t taps) {
    kernel_ = taps;
    const int64_t width = kernels_->width, lane = plan_.ring ? width : width / 2;
    const int64_t pixels = plan_.columns.outputs * (plan_.flat ? plan_.rows.outputs : 1);
    const int64_t modular = plan_.ring ? 0 : 8;  // the prime's reduction of a vector of sums
    const int64_t tiles = ceiling(plan_.outputs, width) * pixels * (2 * ceiling(plan_.inputs, 2) * taps + modular);
    const int64_t along = plan_.outputs * ceiling(pixels, lane) * (2 * plan_.inputs * taps + modular);
    plan_.along_rows = along < tiles;
    plan_.vectors = plan_.outputs > width ? 2 : 1;
    plan_.pairs = plan_.along_rows ? plan_.inputs : ceiling(plan_.inputs, 2);
    plan_.blocks = plan_.groups * (plan_.along_rows ? plan_.outputs : ceiling(plan_.outputs, plan_.vectors * width));
  }

  // Where the rearranged inputs lie, how many rows of them at a time, where every step reads.
  void layout() {
    const ConvAxis &rows = plan_.rows, &columns = plan_.columns;
    const int64_t words = plan_.along_rows && plan_.ring ? 1 : 2, channels = plan_.groups * plan_.pairs;
    double every = 1;  // words of one row, in doubles, which do not overflow
    const int64_t length = columns.outputs + columns.reach;
    for (const int64_t factor : {columns.phase_count, length, rows.phase_count, channels, words})
      every *= static_cast<double>(factor);
    require(every * static_cast<double>(rows.reach + 1) < kMostWords, "the layer is too large");
    plan_.row_words = columns.phase_count * length * words;
    const int64_t row = plan_.row_words * rows.phase_count * channels;  // one row of all channels and phases
    const int64_t height = plan_.matrix ? 1 << 20 : rows.outputs;
    plan_.band = std::clamp<int64_t>(kBandBytes / 4 / row - rows.reach, 1, height);
    plan_.plane_words = plan_.row_words * rows.phase_count * (plan_.band + rows.reach);
    words_ = channels * plan_.plane_words + circa::kSlack;
    plan_.channel_stride = plan_.matrix ? 1 : rows.size * columns.size;
    plan_.row_stride = plan_.matrix ? plan_.groups * plan_.inputs : columns.size;
    plan_.output_stride = plan_.matrix ? 1 : rows.outputs * columns.outputs;
    for (int64_t i = 0; i < plan_.pairs; i++)
      for (size_t k = 0; k < rows_.place_of.size(); k++)
        for (size_t l = 0; l < columns_.place_of.size(); l++) {
          const int64_t at = rows_.phase_of[k] * (plan_.band + rows.reach) + rows_.place_of[k];
          const int64_t column = columns_.phase_of[l] * length + columns_.place_of[l];
          offsets_.push_back(static_cast<int32_t>(i * plan_.plane_words + at * plan_.row_words + column * words));
        }
    plan_.steps = static_cast<int64_t>(offsets_.size());
    plan_.offsets = offsets_.data();
  }

  template <class T>
  void keep_values(const Weights& weights) {
    Aligned<T>& kept = std::get<Aligned<T>>(values_);
    kept.resize(weights.size());
    for (size_t i = 0; i < weights.size(); i++) kept.data[i] = static_cast<T>(weights.data()[i]);
    plan_.values = kept.data;
    chunks_ = {plan_.steps};
    plan_.chunks = chunks_.data();
  }

  void pack(const Weights& weights) {
    const int64_t lanes = plan_.vectors * kernels_->width, each = plan_.blocks / plan_.groups, taps = kernel_;
    weights_.resize(static_cast<size_t>(plan_.blocks * plan_.steps * lanes * 2));
    std::vector<int64_t> sums(static_cast<size_t>(plan_.blocks * lanes));
    // Digits reach 2^15 in the ring, where nothing overflows, and M / 2^16 + 1 for the prime.
    const int64_t most = plan_.ring ? INT64_MAX : INT32_MAX / ((plan_.modulus >> 16) + 1);
    for (int64_t step = 0; step < plan_.steps; step++) {
      bool full = false;
      std::vector<int64_t> added(sums.size());
      for (int64_t m = 0; m < plan_.groups * plan_.outputs; m++) {
        const int64_t block = m / plan_.outputs * each + m % plan_.outputs / lanes, lane = m % plan_.outputs % lanes;
        int16_t* out = weights_.data + ((block * plan_.steps + step) * lanes + lane) * 2;
        int64_t& norm = added[static_cast<size_t>(block * lanes + lane)];
        for (int64_t i = 0; i < 2 && step / taps * 2 + i < plan_.inputs; i++) {
          out[i] = weights.data()[(m * plan_.inputs + step / taps * 2 + i) * taps + step % taps];
          norm += std::abs(static_cast<int64_t>(out[i]));
        }
        full |= sums[static_cast<size_t>(block * lanes + lane)] + norm > most;
      }
      if (full) {
        chunks_.push_back(step);
        std::fill(sums.begin(), sums.end(), 0);
      }
      for (size_t i = 0; i < sums.size(); i++) sums[i] += added[i];
    }
    chunks_.push_back(plan_.steps);
    plan_.weights = weights_.data, plan_.chunks = chunks_.data();
  }

  Axis rows_, columns_;
  circa::ConvPlan plan_{};
  const ConvKernels* kernels_ = nullptr;
  int64_t kernel_ = 0, words_ = 0;  // taps; words of scratch
  std::vector<int32_t> offsets_;
  std::vector<int64_t> chunks_;
  Aligned<int16_t> weights_;
  std::tuple<Aligned<uint32_t>, Aligned<double>> values_;
  Aligned<uint32_t> bias_;
};

}  // namespace

namespace circa {

void bind_conv(nb::module_& m) {
  m.def("convolution_levels", [] {
    std::vector<std::string> names;
    for (const auto* level : supported()) names.emplace_back(level->name);
    return names;
  });
  nb::class_<Convolution>(m, "Convolution")
      .def(nb::init<const Weights&, const Bias&, const Pair&, const Pair&, const Pair&, const Pair&, int64_t, uint32_t,
                    const std::string&>(),
           "weights"_a.noconvert(), "bias"_a.noconvert(), "size"_a, "stride"_a, "padding"_a, "dilation"_a, "groups"_a,
           "modulus"_a, "level"_a)
      .def("apply", &Convolution::apply, "x"_a.noconvert(), "y"_a.noconvert(), "threads"_a);
}

}  // namespace circa
