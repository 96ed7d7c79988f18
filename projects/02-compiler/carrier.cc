// The one custom operator that carries every generated kernel back into a PIR program.
//
// It is compiled once for a version of Paddle. A kernel is a shared object without a line of Paddle in it; its path is
// an attribute of the operator, and the object itself says what it takes (`interface`, written by emission.py):
//
//   leading axes, for each of them an input and the axis of it that tells its size,
//   inputs, for each of them type, rank, sizes,
//   outputs, for each of them type, rank, sizes
//
// where a size below zero, -1-k, is that of leading axis k and known when the kernel is called.
#include <dlfcn.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "paddle/phi/api/all.h"
#include "paddle/phi/api/include/tensor_utils.h"
#include "paddle/phi/core/dense_tensor.h"

namespace {

using Shape = std::vector<int64_t>;
using Tensors = std::vector<paddle::Tensor>;
using Run = void (*)(const void* const*, void* const*, const int64_t*, int);

int threads = 1;

struct Operand {
  paddle::DataType type;
  Shape shape;
};

struct Kernel {
  Run run;
  std::vector<std::pair<int64_t, int64_t>> axes;  // input, axis of it
  std::vector<Operand> inputs, outputs;
};

constexpr paddle::DataType types[] = {paddle::DataType::FLOAT32, paddle::DataType::BFLOAT16, paddle::DataType::BOOL,
                                      paddle::DataType::INT64, paddle::DataType::FLOAT64};  // emission.py knows them too

std::vector<Operand> ReadOperands(const int64_t*& word) {
  std::vector<Operand> operands(*word++);
  for (Operand& operand : operands) {
    operand.type = types[*word++];
    const int64_t rank = *word++;
    operand.shape.assign(word, word + rank);
    word += rank;
  }
  return operands;
}

const Kernel& Load(const std::string& path) {
  static std::mutex mutex;
  static std::map<std::string, Kernel> kernels;
  std::lock_guard<std::mutex> lock(mutex);
  const auto known = kernels.find(path);
  if (known != kernels.end()) return known->second;
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  PD_CHECK(library, "The generated kernel cannot be loaded: ", dlerror());
  Kernel kernel;
  kernel.run = reinterpret_cast<Run>(dlsym(library, "run"));
  auto word = static_cast<const int64_t*>(dlsym(library, "interface"));
  PD_CHECK(kernel.run && word, path, " is not a generated kernel.");
  for (int64_t axes = *word++; axes > 0; --axes, word += 2) kernel.axes.emplace_back(word[0], word[1]);
  kernel.inputs = ReadOperands(word);
  kernel.outputs = ReadOperands(word);
  return kernels.emplace(path, std::move(kernel)).first->second;
}

Shape Sizes(const Kernel& kernel, const std::vector<Shape>& inputs) {
  Shape sizes;
  for (const auto& [input, axis] : kernel.axes) sizes.push_back(inputs.at(input).at(axis));
  return sizes;
}

Shape Resolve(const Shape& shape, const Shape& sizes) {
  Shape resolved;
  for (int64_t size : shape) resolved.push_back(size < 0 ? sizes.at(-1 - size) : size);
  return resolved;
}

// Large results live in memory that is used again. glibc gives large blocks back to the system, and the next result of
// that size would take a page fault for every 4 KiB before a kernel could write it: most of the time, at these speeds.
class Pool {
 public:
  void* Take(size_t bytes) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      const auto found = free_.find(bytes);
      if (found != free_.end()) {
        void* block = found->second;
        free_.erase(found);
        kept_ -= bytes;
        return block;
      }
    }
    void* block = std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
    PD_CHECK(block, "No memory for a result of ", bytes, " bytes.");
    return block;
  }

  void Give(void* block, size_t bytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (kept_ + bytes > kMost) return std::free(block);
    free_.emplace(bytes, block);
    kept_ += bytes;
  }

 private:
  static constexpr size_t kAlignment = 4096, kMost = size_t{1} << 30;
  std::mutex mutex_;
  std::multimap<size_t, void*> free_;
  size_t kept_ = 0;
};

paddle::Tensor Empty(const Shape& shape, paddle::DataType type, const paddle::Place& place) {
  static Pool* pool = new Pool;  // never destroyed: tensors may outlive everything else
  size_t bytes = phi::SizeOf(type);
  for (int64_t size : shape) bytes *= size;
  if (bytes < (size_t{1} << 20) || place.GetType() != phi::AllocationType::CPU) return paddle::empty(shape, type, place);
  return paddle::from_blob(pool->Take(bytes), shape, type, phi::DataLayout::NCHW, place,
                           [bytes](void* block) { pool->Give(block, bytes); });
}

// Whether these tensors are what the kernel was generated for, and lie in memory as it reads them; notes their sizes.
bool Fits(const Kernel& kernel, const Tensors& inputs, Shape* sizes) {
  if (inputs.size() != kernel.inputs.size()) return false;
  for (const auto& [input, axis] : kernel.axes) {
    const auto& dims = inputs[input].dims();
    if (dims.size() <= axis) return false;
    sizes->push_back(dims[axis]);
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].initialized() || !inputs[i].is_dense_tensor()) return false;
    const auto& meta = static_cast<const phi::DenseTensor&>(*inputs[i].impl()).meta();
    const Operand& expected = kernel.inputs[i];
    if (meta.dtype != expected.type || !meta.is_contiguous() || inputs[i].place() != inputs[0].place()) return false;
    if (meta.dims.size() != static_cast<int>(expected.shape.size())) return false;
    for (int axis = 0; axis < meta.dims.size(); ++axis) {
      const int64_t size = expected.shape[axis];
      if (meta.dims[axis] != (size < 0 ? (*sizes)[-1 - size] : size)) return false;
    }
  }
  return true;
}

Tensors Launch(const Kernel& kernel, const Tensors& inputs, const Shape& sizes) {
  std::vector<const void*> sources;
  for (const paddle::Tensor& input : inputs) sources.push_back(input.data());
  Tensors outputs;
  std::vector<void*> targets;
  for (const Operand& output : kernel.outputs) {
    outputs.push_back(Empty(Resolve(output.shape, sizes), output.type, inputs[0].place()));
    targets.push_back(outputs.back().data());
  }
  kernel.run(sources.data(), targets.data(), sizes.data(), threads);
  return outputs;
}

Tensors Launch(const std::string& path, const Tensors& inputs) {
  const Kernel& kernel = Load(path);
  Shape sizes;
  PD_CHECK(Fits(kernel, inputs, &sizes), "The kernel ", path, " was generated for tensors of other shapes or types.");
  return Launch(kernel, inputs, sizes);
}

// What Paddle calls, with the operator's attributes: the path of the kernel, and that of its gradient. Its macros write
// such functions for a fixed number of tensors; these take any.
using Attributes = std::vector<paddle::any>;
using Types = std::vector<paddle::DataType>;

std::string KernelPath(const Attributes& attributes) { return paddle::any_cast<std::string>(attributes.at(0)); }

void Hand(Tensors outputs, paddle::CustomOpKernelContext* context) {
  for (size_t i = 0; i < outputs.size(); ++i) paddle::AssignTensorImpl(outputs[i], context->MutableOutputAt(i));
}

void Forward(paddle::CustomOpKernelContext* context) {
  Hand(Launch(KernelPath(context->Attrs()), *context->AllMutableInput()), context);
}

std::vector<Shape> ForwardShapes(const std::vector<Shape>& inputs, const std::vector<std::vector<Shape>>&,
                                 const Attributes& attributes) {
  const Kernel& kernel = Load(KernelPath(attributes));
  std::vector<Shape> outputs;
  for (const Operand& output : kernel.outputs) outputs.push_back(Resolve(output.shape, Sizes(kernel, inputs)));
  return outputs;
}

Types ForwardTypes(const Types&, const std::vector<Types>&, const Attributes& attributes) {
  Types types;
  for (const Operand& output : Load(KernelPath(attributes)).outputs) types.push_back(output.type);
  return types;
}

// The gradient's tensors are the forward kernel's inputs, then a slope for each of its outputs.
void Backward(paddle::CustomOpKernelContext* context) {
  const auto path = context->AttrAt<std::string>(1);
  PD_CHECK(!path.empty(), "The kernel ", KernelPath(context->Attrs()), " was generated without its gradient.");
  const Tensors inputs = *context->AllMutableInput();
  Tensors outputs = Launch(path, inputs);
  // Inputs that ask for no gradient come last. Paddle wants a tensor for each, and nobody reads it.
  const size_t all = Load(KernelPath(context->Attrs())).inputs.size();
  for (size_t i = outputs.size(); i < all; ++i) outputs.push_back(inputs[i]);
  Hand(outputs, context);
}

std::vector<Shape> BackwardShapes(const std::vector<Shape>& inputs, const std::vector<std::vector<Shape>>&,
                                  const Attributes& attributes) {
  return {inputs.begin(), inputs.begin() + Load(KernelPath(attributes)).inputs.size()};
}

Types BackwardTypes(const Types& inputs, const std::vector<Types>&, const Attributes& attributes) {
  return {inputs.begin(), inputs.begin() + Load(KernelPath(attributes)).inputs.size()};
}

// Paddle's custom operators have a fixed number of tensors, so there is one operator for each number of them.
constexpr int kMostInputs = 12, kMostOutputs = 4;  // generator.py knows them too

std::vector<std::string> Names(const std::string& letter, int number) {
  std::vector<std::string> names;
  for (int i = 0; i < number; ++i) names.push_back(letter + std::to_string(i));
  return names;
}

void Register(int inputs, int outputs) {
  const std::string name = "generated_kernel_" + std::to_string(inputs) + "_" + std::to_string(outputs);
  std::vector<std::string> attributes = {"kernel: std::string", "gradient: std::string"};
  auto x = Names("X", inputs), y = Names("Y", outputs), both = x, slopes = x;
  for (std::string& one : slopes) one = paddle::Grad(one);
  for (const std::string& one : y) both.push_back(paddle::Grad(one));
  paddle::OpMetaInfoBuilder(std::string(name), 0)
      .Inputs(std::move(x))
      .Outputs(std::move(y))
      .Attrs(std::vector<std::string>(attributes))
      .SetKernelFn(Forward)
      .SetInferShapeFn(ForwardShapes)
      .SetInferDtypeFn(ForwardTypes);
  paddle::OpMetaInfoBuilder(std::string(name), 1)
      .Inputs(std::move(both))
      .Outputs(std::move(slopes))
      .Attrs(std::move(attributes))
      .SetKernelFn(Backward)
      .SetInferShapeFn(BackwardShapes)
      .SetInferDtypeFn(BackwardTypes);
}

const bool registered = [] {
  for (int inputs = 1; inputs <= kMostInputs; ++inputs)
    for (int outputs = 1; outputs <= kMostOutputs; ++outputs) Register(inputs, outputs);
  return true;
}();

}  // namespace

extern "C" void set_threads(int number) { threads = number; }

// The way past operators and executor for a function that is one kernel (entry.py). Python's own declarations, all of
// its stable interface, stand here, so that its headers need not be installed; those of Paddle are its utils/pybind.h.
struct _object;

extern "C" {
extern _object* PyExc_RuntimeError;
void PyErr_SetString(_object*, const char*);
ssize_t PyTuple_Size(_object*);
_object* PyTuple_GetItem(_object*, ssize_t);
_object* PyTuple_New(ssize_t);
int PyTuple_SetItem(_object*, ssize_t, _object*);
void* PyEval_SaveThread();
void PyEval_RestoreThread(void*);
}

namespace paddle::pybind {
bool PyCheckTensor(_object*);
paddle::Tensor& CastPyArg2Tensor(_object*, ssize_t);
_object* ToPyObject(const paddle::Tensor&, bool);
}  // namespace paddle::pybind

extern "C" const void* load_kernel(const char* path) { return &Load(path); }

// A tuple of the kernel's results, which no graph knows of; an empty one if the tensors are not what it takes.
extern "C" _object* launch(const Kernel* kernel, _object* tensors) try {
  Tensors inputs;
  inputs.reserve(kernel->inputs.size());
  for (ssize_t i = 0; i < PyTuple_Size(tensors); ++i) {
    _object* tensor = PyTuple_GetItem(tensors, i);
    if (!paddle::pybind::PyCheckTensor(tensor)) return PyTuple_New(0);
    inputs.push_back(paddle::pybind::CastPyArg2Tensor(tensor, i));
  }
  Shape sizes;
  if (!Fits(*kernel, inputs, &sizes)) return PyTuple_New(0);
  Tensors outputs;
  void* const thread = PyEval_SaveThread();
  try {
    outputs = Launch(*kernel, inputs, sizes);
  } catch (...) {
    PyEval_RestoreThread(thread);
    throw;
  }
  PyEval_RestoreThread(thread);
  _object* results = PyTuple_New(outputs.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    PyTuple_SetItem(results, i, paddle::pybind::ToPyObject(outputs[i], false));
  }
  return results;
} catch (const std::exception& error) {
  PyErr_SetString(PyExc_RuntimeError, error.what());
  return nullptr;
}
