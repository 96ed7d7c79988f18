// The rules of rules.py as a pass in C++, which Paddle's pass manager finds by its name: activation_fuse_pass.
// Compiled against the wheel's own headers and loaded into the process; upstream/ has it in the form of a pull request.
// Operators are named by their strings: their classes are in pd_op.h, which includes all of Paddle.

#include <memory>
#include <string>
#include <vector>

#include "paddle/fluid/pir/drr/include/drr_pattern_base.h"
#include "paddle/fluid/pir/utils/general_functions.h"
#include "paddle/pir/include/core/builtin_type.h"
#include "paddle/pir/include/pass/pass.h"
#include "paddle/pir/include/pass/pass_registry.h"

namespace {

bool IsFloating(const pir::Type& type) {
  return type.isa<pir::Float32Type>() || type.isa<pir::Float16Type>() || type.isa<pir::BFloat16Type>();
}

// exp(x - max(x)) / sum(exp(x - max(x))), both over the last axis, which they keep
class SoftmaxPattern : public paddle::drr::DrrPatternBase {
 public:
  std::string name() const override { return "SoftmaxPattern"; }

  void operator()(paddle::drr::DrrPatternContext* context) const override {
    paddle::drr::SourcePattern pattern = context->SourcePattern();
    const auto& axes = pattern.Op("pd_op.full_int_array", {{"value", pattern.Attr("maximum_axes")}});
    const auto& maximum = pattern.Op("pd_op.max", {{"keepdim", pattern.Attr("maximum_keeps")}});
    const auto& subtract = pattern.Op("pd_op.subtract");
    const auto& exponential = pattern.Op("pd_op.exp");
    const auto& other_axes = pattern.Op("pd_op.full_int_array", {{"value", pattern.Attr("sum_axes")}});
    const auto& sum = pattern.Op("pd_op.sum", {{"keepdim", pattern.Attr("sum_keeps")}});
    const auto& divide = pattern.Op("pd_op.divide");
    pattern.Tensor("top") = maximum(pattern.Tensor("x"), axes());
    pattern.Tensor("below") = subtract(pattern.Tensor("x"), pattern.Tensor("top"));
    pattern.Tensor("power") = exponential(pattern.Tensor("below"));
    pattern.Tensor("total") = sum(pattern.Tensor("power"), other_axes());
    pattern.Tensor("result") = divide(pattern.Tensor("power"), pattern.Tensor("total"));
    pattern.AddConstraint(Fits);

    paddle::drr::ResultPattern result = pattern.ResultPattern();
    result.Tensor("result") = result.Op("pd_op.softmax", {{"axis", result.Int32Attr(-1)}})(result.Tensor("x"));
  }

 private:
  static bool Fits(const paddle::drr::MatchContext& match) {
    const auto rank = static_cast<int64_t>(pir::GetShapeFromValue(match.Tensor("x")).size());
    for (const char* name : {"maximum_axes", "sum_axes"}) {
      const auto axes = match.Attr<std::vector<int64_t>>(name);
      if (axes.size() != 1 || (axes[0] != -1 && axes[0] != rank - 1)) return false;
    }
    const auto type = pir::GetDataTypeFromValue(match.Tensor("x"));
    return rank > 0 && match.Attr<bool>("maximum_keeps") && match.Attr<bool>("sum_keeps") && IsFloating(type) &&
           pir::GetDataTypeFromValue(match.Tensor("total")) == type;
  }
};

// gate * sigmoid(gate) * x, without broadcasting; its factors may be written in any of these orders
struct Order {
  bool silu;           // silu(gate) in place of gate * sigmoid(gate)
  bool sigmoid_first;  // sigmoid(gate) * gate
  bool x_first;        // x * (gate * sigmoid(gate))
};

class SwigluPattern : public paddle::drr::DrrPatternBase {
 public:
  explicit SwigluPattern(Order order) : order_(order) {}

  std::string name() const override {
    return "SwigluPattern" + std::to_string(4 * order_.silu + 2 * order_.sigmoid_first + order_.x_first);
  }

  void operator()(paddle::drr::DrrPatternContext* context) const override {
    paddle::drr::SourcePattern pattern = context->SourcePattern();
    const auto& gate = pattern.Tensor("gate");
    if (order_.silu) {
      pattern.Tensor("gated") = pattern.Op("pd_op.silu")(gate);
    } else {
      const auto& sigmoid = pattern.Op("pd_op.sigmoid");
      const auto& inner = pattern.Op("pd_op.multiply");
      pattern.Tensor("open") = sigmoid(gate);
      const auto& open = pattern.Tensor("open");
      pattern.Tensor("gated") = order_.sigmoid_first ? inner(open, gate) : inner(gate, open);
    }
    const auto& outer = pattern.Op("pd_op.multiply");
    const auto &gated = pattern.Tensor("gated"), &x = pattern.Tensor("x");
    pattern.Tensor("result") = order_.x_first ? outer(x, gated) : outer(gated, x);
    pattern.AddConstraint(Fits);

    paddle::drr::ResultPattern result = pattern.ResultPattern();
    result.Tensor("result") = result.Op("pd_op.swiglu")(result.Tensor("gate"), result.Tensor("x"));
  }

 private:
  static bool Fits(const paddle::drr::MatchContext& match) {
    const auto shape = pir::GetShapeFromValue(match.Tensor("x"));
    for (const int64_t size : shape) {
      if (size < 0) return false;  // two unknown sizes need not be the same
    }
    const auto type = pir::GetDataTypeFromValue(match.Tensor("x"));
    return !shape.empty() && shape == pir::GetShapeFromValue(match.Tensor("gate")) && IsFloating(type) &&
           pir::GetDataTypeFromValue(match.Tensor("gate")) == type;
  }

  const Order order_;
};

class ActivationFusePass : public pir::PatternRewritePass {
 public:
  ActivationFusePass() : pir::PatternRewritePass("activation_fuse_pass", 2) {}

  pir::RewritePatternSet InitializePatterns(pir::IrContext* context) override {
    pir::RewritePatternSet patterns(context);
    patterns.Add(paddle::drr::Create<SoftmaxPattern>(context));
    for (const bool x_first : {false, true}) {
      patterns.Add(paddle::drr::Create<SwigluPattern>(context, Order{false, false, x_first}));
      patterns.Add(paddle::drr::Create<SwigluPattern>(context, Order{false, true, x_first}));
      patterns.Add(paddle::drr::Create<SwigluPattern>(context, Order{true, false, x_first}));
    }
    return patterns;
  }
};

}  // namespace

REGISTER_IR_PASS(activation_fuse_pass, ActivationFusePass);
