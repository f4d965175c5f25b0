#include "codmoe/core/flop_counter.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <ATen/record_function.h>

#include <array>
#include <memory>
#include <string_view>

namespace codmoe::core {

namespace {

thread_local int64_t t_total = 0;
thread_local int t_depth = 0;  // of counted operations within each other: the outermost counts

/// What an operation costs: so much a value of its result, or a whole known before.
struct Cost final : at::ObserverContext {
  int64_t per_output = 0;
  int64_t whole = 0;
};

using Arguments = c10::ArrayRef<const c10::IValue>;

/// Each result of a convolution takes every weight of its filter; of a transposed one, each input does.
void cost_of_convolution(Arguments inputs, Cost& cost) {
  const auto& weight = inputs[1].toTensor();
  const auto filter = 2 * weight.numel() / weight.size(0);
  const bool transposed = inputs[6].toBool();
  (transposed ? cost.whole : cost.per_output) = transposed ? filter * inputs[0].toTensor().numel() : filter;
}

/// Query [..., L, E], key [..., S, E], value [..., S, Ev].
void cost_of_attention(Arguments inputs, Cost& cost) {
  const auto &query = inputs[0].toTensor(), &key = inputs[1].toTensor(), &value = inputs[2].toTensor();
  cost.whole = 2 * query.numel() / query.size(-1) * key.size(-2) * (query.size(-1) + value.size(-1));
}

template <std::size_t kArgument>
void cost_of_product(Arguments inputs, Cost& cost) {
  cost.per_output = 2 * inputs[kArgument].toTensor().size(-1);
}

struct Counted {
  std::string_view name;
  void (*cost)(Arguments, Cost&);
};
constexpr std::array kCounted{
    Counted{"aten::convolution", cost_of_convolution}, Counted{"aten::scaled_dot_product_attention", cost_of_attention},
    Counted{"aten::linear", cost_of_product<0>},       Counted{"aten::mm", cost_of_product<0>},
    Counted{"aten::bmm", cost_of_product<0>},          Counted{"aten::mv", cost_of_product<0>},
    Counted{"aten::addmm", cost_of_product<1>},        Counted{"aten::baddbmm", cost_of_product<1>}};

std::unique_ptr<at::ObserverContext> on_start(const at::RecordFunction& call) {
  for (const auto& counted : kCounted) {
    if (call.name() != counted.name) continue;
    auto cost = std::make_unique<Cost>();
    if (t_depth++ == 0) counted.cost(call.inputs(), *cost);
    return cost;
  }
  return nullptr;
}

void on_end(const at::RecordFunction& call, at::ObserverContext* context) {
  if (context == nullptr) return;
  --t_depth;
  const auto& cost = *static_cast<Cost*>(context);
  t_total += cost.whole + (cost.per_output > 0 ? cost.per_output * call.outputs()[0].toTensor().numel() : 0);
}

}  // namespace

FlopCounter::FlopCounter()
    : callback_(at::addThreadLocalCallback(at::RecordFunctionCallback(on_start, on_end)
                                               .needsInputs(true)
                                               .needsOutputs(true)
                                               .scopes({at::RecordScope::FUNCTION}))) {
  t_total = 0;
}

FlopCounter::~FlopCounter() { at::removeCallback(callback_); }

int64_t FlopCounter::total() const { return t_total; }

}  // namespace codmoe::core
