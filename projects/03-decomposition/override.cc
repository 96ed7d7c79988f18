// The rule of splitting.py in C++, put in the place of Paddle's own: pd_op.gelu's DecompInterface holds a pointer to
// the function that takes the operator apart, and that pointer is exchanged. The backward pass is not touched: where
// Paddle differentiates before it decomposes, it uses gelu_grad's rule, which is right because the function is the same.

#include <cmath>
#include <vector>

#include "paddle/fluid/pir/dialect/operator/interface/decomp.h"
#include "paddle/fluid/pir/dialect/operator/ir/op_dialect.h"
#include "paddle/fluid/pir/dialect/operator/ir/pd_op.h"
#include "paddle/pir/include/core/builder.h"
#include "paddle/pir/include/core/ir_context.h"

namespace {

using Rule = std::vector<std::vector<pir::Value>> (*)(pir::Operation *);

Rule original = nullptr;
bool without_cubic_term = false;
int called = 0;

std::vector<std::vector<pir::Value>> SplitGelu(pir::Operation *op) {
  namespace dialect = paddle::dialect;
  if (!op->attribute("approximate").dyn_cast<pir::BoolAttribute>().data()) return original(op);
  ++called;
  const float constant = 2 * std::sqrt(2 / M_PI);
  pir::Builder builder(pir::IrContext::Instance(), op->GetParent());
  builder.set_insertion_point(op);
  pir::Value x = op->operand_source(0);
  pir::Value square = builder.Build<dialect::MultiplyOp>(x, x).result(0);
  const float cubic = without_cubic_term ? 0.0f : 0.044715f * constant;
  pir::Value slope = builder.Build<dialect::ScaleOp>(square, cubic, constant, true).result(0);
  pir::Value twice = builder.Build<dialect::MultiplyOp>(x, slope).result(0);
  pir::Value open = builder.Build<dialect::SigmoidOp>(twice).result(0);
  return {{builder.Build<dialect::MultiplyOp>(x, open).result(0)}};
}

paddle::dialect::DecompInterface::Concept *GeluInterface() {
  pir::IrContext *context = pir::IrContext::Instance();
  context->GetOrRegisterDialect<paddle::dialect::OperatorDialect>();
  return context->GetRegisteredOpInfo("pd_op.gelu").GetInterfaceImpl<paddle::dialect::DecompInterface>();
}

}  // namespace

extern "C" {

// Whether the rule is now this file's; `wrong` leaves its cubic term out.
int install(int wrong) {
  auto *interface = GeluInterface();
  if (interface == nullptr) return 0;
  if (interface->decomp_ != &SplitGelu) original = interface->decomp_;
  interface->decomp_ = &SplitGelu;
  without_cubic_term = wrong;
  return 1;
}

void restore() {
  auto *interface = GeluInterface();
  if (interface != nullptr && original != nullptr) interface->decomp_ = original;
}

int calls() { return called; }
}
