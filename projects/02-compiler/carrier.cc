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

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "paddle/phi/api/all.h"

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

std::vector<Operand> ReadOperands(const int64_t*& word) {
  std::vector<Operand> operands(*word++);
  for (Operand& operand : operands) {
    operand.type = *word++ ? paddle::DataType::BFLOAT16 : paddle::DataType::FLOAT32;
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

std::vector<Shape> InferShapes(const std::string& path, const std::vector<Shape>& inputs) {
  const Kernel& kernel = Load(path);
  std::vector<Shape> outputs;
  for (const Operand& output : kernel.outputs) outputs.push_back(Resolve(output.shape, Sizes(kernel, inputs)));
  return outputs;
}

Tensors Launch(const std::string& path, const Tensors& inputs) {
  const Kernel& kernel = Load(path);
  PD_CHECK(inputs.size() == kernel.inputs.size(), path, " takes another number of tensors.");
  std::vector<Shape> shapes;
  for (const paddle::Tensor& input : inputs) shapes.push_back(input.shape());
  const Shape sizes = Sizes(kernel, shapes);
  std::vector<const void*> sources;
  for (size_t i = 0; i < inputs.size(); ++i) {
    PD_CHECK(shapes[i] == Resolve(kernel.inputs[i].shape, sizes), "Tensor ", i, " has a shape that the kernel ", path,
             " was not generated for.");
    PD_CHECK(inputs[i].dtype() == kernel.inputs[i].type, "Tensor ", i, " has another type than the kernel's.");
    sources.push_back(inputs[i].data());
  }
  Tensors outputs;
  std::vector<void*> targets;
  for (const Operand& output : kernel.outputs) {
    outputs.push_back(paddle::empty(Resolve(output.shape, sizes), output.type, inputs[0].place()));
    targets.push_back(outputs.back().data());
  }
  kernel.run(sources.data(), targets.data(), sizes.data(), threads);
  return outputs;
}

Tensors Forward(const Tensors& x, const std::string& kernel, const std::string& gradient) { return Launch(kernel, x); }

std::vector<Shape> ForwardShapes(const std::vector<Shape>& x, const std::string& kernel, const std::string& gradient) {
  return InferShapes(kernel, x);
}

std::vector<paddle::DataType> ForwardTypes(const std::vector<paddle::DataType>& x, const std::string& kernel,
                                           const std::string& gradient) {
  std::vector<paddle::DataType> types;
  for (const Operand& output : Load(kernel).outputs) types.push_back(output.type);
  return types;
}

template <typename... Slopes>
Tensors Backward(const Tensors& x, const Slopes&... slopes, const std::string& kernel, const std::string& gradient) {
  PD_CHECK(!gradient.empty(), "The kernel ", kernel, " was generated without its gradient.");
  Tensors inputs = x;
  (inputs.push_back(slopes), ...);
  Tensors outputs = Launch(gradient, inputs);
  // Inputs that ask for no gradient come last. Paddle wants a tensor for each, and nobody reads it.
  outputs.insert(outputs.end(), x.begin() + outputs.size(), x.end());
  return outputs;
}

template <typename... Slopes>
std::vector<Shape> BackwardShapes(const std::vector<Shape>& x, const Slopes&... slopes, const std::string& kernel,
                                  const std::string& gradient) {
  return x;
}

}  // namespace

extern "C" void set_threads(int number) { threads = number; }

// Paddle's custom operators have a fixed number of results, so there is one operator for each number of them.
#define ATTRIBUTES Attrs({"kernel: std::string", "gradient: std::string"})
#define REGISTER(name, outputs, slopes, tensors, shapes)                     \
  PD_BUILD_OP(name)                                                          \
      .Inputs({paddle::Vec("X")})                                            \
      .Outputs(outputs)                                                      \
      .ATTRIBUTES.SetKernelFn(PD_KERNEL(Forward))                            \
      .SetInferShapeFn(PD_INFER_SHAPE(ForwardShapes))                        \
      .SetInferDtypeFn(PD_INFER_DTYPE(ForwardTypes));                        \
  PD_BUILD_GRAD_OP(name)                                                     \
      .Inputs(slopes)                                                        \
      .Outputs({paddle::Grad(paddle::Vec("X"))})                             \
      .ATTRIBUTES.SetKernelFn(PD_KERNEL(Backward<PLAIN tensors>))            \
      .SetInferShapeFn(PD_INFER_SHAPE(BackwardShapes<PLAIN shapes>));
#define PLAIN(...) __VA_ARGS__
#define LIST(...) {__VA_ARGS__}
#define T paddle::Tensor
#define G paddle::Grad

REGISTER(generated_kernel_1, LIST("A"), LIST(paddle::Vec("X"), G("A")), (T), (Shape))
REGISTER(generated_kernel_2, LIST("A", "B"), LIST(paddle::Vec("X"), G("A"), G("B")), (T, T), (Shape, Shape))
REGISTER(generated_kernel_3, LIST("A", "B", "C"), LIST(paddle::Vec("X"), G("A"), G("B"), G("C")), (T, T, T),
         (Shape, Shape, Shape))
REGISTER(generated_kernel_4, LIST("A", "B", "C", "D"), LIST(paddle::Vec("X"), G("A"), G("B"), G("C"), G("D")),
         (T, T, T, T), (Shape, Shape, Shape, Shape))
