// Copyright (c) 2026 PaddlePaddle Authors. All Rights Reserved.
//
// Licensed under the Apache License, Version 2.0 (the "License");
// you may not use this file except in compliance with the License.
// You may obtain a copy of the License at
//
//     http://www.apache.org/licenses/LICENSE-2.0
//
// Unless required by applicable law or agreed to in writing, software
// distributed under the License is distributed on an "AS IS" BASIS,
// WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
// See the License for the specific language governing permissions and
// limitations under the License.

#include "paddle/fluid/pir/transforms/general/activation_fuse_pass.h"

#include <memory>
#include <string>
#include <vector>

#include "paddle/fluid/pir/dialect/operator/ir/pd_op.h"
#include "paddle/fluid/pir/drr/include/drr_pattern_base.h"
#include "paddle/fluid/pir/utils/general_functions.h"

#include "paddle/pir/include/core/builtin_type.h"
#include "paddle/pir/include/pass/pass.h"
#include "paddle/pir/include/pass/pass_registry.h"

/*
Replaces two chains of operators that are written out by hand, each by one
operator:

    exp(x - max(x, -1)) / sum(exp(x - max(x, -1)), -1)  ->  softmax(x)
    gate * sigmoid(gate) * x, or silu(gate) * x         ->  swiglu(gate, x)

A chain of the same operators that means something else is left alone: other
axes, an axis that is not kept, broadcasting, sizes that are not known, and
intermediate values that are used elsewhere.
*/

namespace {

bool IsFloating(const pir::Type& type) {
  return type.isa<pir::Float32Type>() || type.isa<pir::Float16Type>() ||
         type.isa<pir::BFloat16Type>();
}

// exp(x - max(x)) / sum(exp(x - max(x))), both over the last axis, which they
// keep
class SoftmaxPattern : public paddle::drr::DrrPatternBase {
 public:
  std::string name() const override { return "SoftmaxPattern"; }

  void operator()(paddle::drr::DrrPatternContext* context) const override {
    paddle::drr::SourcePattern pattern = context->SourcePattern();
    const auto& axes = pattern.Op(paddle::dialect::FullIntArrayOp::name(),
                                  {{"value", pattern.Attr("maximum_axes")}});
    const auto& maximum =
        pattern.Op(paddle::dialect::MaxOp::name(),
                   {{"keepdim", pattern.Attr("maximum_keeps")}});
    const auto& subtract = pattern.Op(paddle::dialect::SubtractOp::name());
    const auto& exponential = pattern.Op(paddle::dialect::ExpOp::name());
    const auto& other_axes = pattern.Op(paddle::dialect::FullIntArrayOp::name(),
                                        {{"value", pattern.Attr("sum_axes")}});
    const auto& sum = pattern.Op(paddle::dialect::SumOp::name(),
                                 {{"keepdim", pattern.Attr("sum_keeps")}});
    const auto& divide = pattern.Op(paddle::dialect::DivideOp::name());
    pattern.Tensor("top") = maximum(pattern.Tensor("x"), axes());
    pattern.Tensor("below") =
        subtract(pattern.Tensor("x"), pattern.Tensor("top"));
    pattern.Tensor("power") = exponential(pattern.Tensor("below"));
    pattern.Tensor("total") = sum(pattern.Tensor("power"), other_axes());
    pattern.Tensor("result") =
        divide(pattern.Tensor("power"), pattern.Tensor("total"));
    pattern.AddConstraint(Fits);

    paddle::drr::ResultPattern result = pattern.ResultPattern();
    result.Tensor("result") =
        result.Op(paddle::dialect::SoftmaxOp::name(),
                  {{"axis", result.Int32Attr(-1)}})(result.Tensor("x"));
  }

 private:
  static bool Fits(const paddle::drr::MatchContext& match) {
    const auto rank =
        static_cast<int64_t>(pir::GetShapeFromValue(match.Tensor("x")).size());
    for (const char* name : {"maximum_axes", "sum_axes"}) {
      const auto axes = match.Attr<std::vector<int64_t>>(name);
      if (axes.size() != 1 || (axes[0] != -1 && axes[0] != rank - 1))
        return false;
    }
    const auto type = pir::GetDataTypeFromValue(match.Tensor("x"));
    return rank > 0 && match.Attr<bool>("maximum_keeps") &&
           match.Attr<bool>("sum_keeps") && IsFloating(type) &&
           pir::GetDataTypeFromValue(match.Tensor("total")) == type;
  }
};

// gate * sigmoid(gate) * x, without broadcasting; its factors may be written in
// any of these orders
struct Order {
  bool silu;           // silu(gate) in place of gate * sigmoid(gate)
  bool sigmoid_first;  // sigmoid(gate) * gate
  bool x_first;        // x * (gate * sigmoid(gate))
};

class SwigluPattern : public paddle::drr::DrrPatternBase {
 public:
  explicit SwigluPattern(Order order) : order_(order) {}

  std::string name() const override {
    return "SwigluPattern" +
           std::to_string(4 * order_.silu + 2 * order_.sigmoid_first +
                          order_.x_first);
  }

  void operator()(paddle::drr::DrrPatternContext* context) const override {
    paddle::drr::SourcePattern pattern = context->SourcePattern();
    const auto& gate = pattern.Tensor("gate");
    if (order_.silu) {
      pattern.Tensor("gated") =
          pattern.Op(paddle::dialect::SiluOp::name())(gate);
    } else {
      const auto& sigmoid = pattern.Op(paddle::dialect::SigmoidOp::name());
      const auto& inner = pattern.Op(paddle::dialect::MultiplyOp::name());
      pattern.Tensor("open") = sigmoid(gate);
      const auto& open = pattern.Tensor("open");
      pattern.Tensor("gated") =
          order_.sigmoid_first ? inner(open, gate) : inner(gate, open);
    }
    const auto& outer = pattern.Op(paddle::dialect::MultiplyOp::name());
    const auto &gated = pattern.Tensor("gated"), &x = pattern.Tensor("x");
    pattern.Tensor("result") =
        order_.x_first ? outer(x, gated) : outer(gated, x);
    pattern.AddConstraint(Fits);

    paddle::drr::ResultPattern result = pattern.ResultPattern();
    result.Tensor("result") = result.Op(paddle::dialect::SwigluOp::name())(
        result.Tensor("gate"), result.Tensor("x"));
  }

 private:
  static bool Fits(const paddle::drr::MatchContext& match) {
    const auto shape = pir::GetShapeFromValue(match.Tensor("x"));
    for (const int64_t size : shape) {
      if (size < 0) return false;  // two unknown sizes need not be the same
    }
    const auto type = pir::GetDataTypeFromValue(match.Tensor("x"));
    return !shape.empty() &&
           shape == pir::GetShapeFromValue(match.Tensor("gate")) &&
           IsFloating(type) &&
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
      patterns.Add(paddle::drr::Create<SwigluPattern>(
          context, Order{false, false, x_first}));
      patterns.Add(paddle::drr::Create<SwigluPattern>(
          context, Order{false, true, x_first}));
      patterns.Add(paddle::drr::Create<SwigluPattern>(
          context, Order{true, false, x_first}));
    }
    return patterns;
  }
};

}  // namespace

namespace pir {

std::unique_ptr<Pass> CreateActivationFusePass() {
  return std::make_unique<ActivationFusePass>();
}

}  // namespace pir

REGISTER_IR_PASS(activation_fuse_pass, ActivationFusePass);
