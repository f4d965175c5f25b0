#include "fused.h"

#include <fmt/format.h>

#include <map>
#include <optional>
#include <stdexcept>

namespace codmoe::moe {

namespace {

using experts::ConvDescription;
using experts::Source;

/// Says what the kernels have no form for.
struct Unsupported : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Reader {
 public:
  explicit Reader(const experts::Expert& expert) {
    // The module's own tensors, not views of them: moving the module replaces what a view would still show.
    for (const auto& item : expert.named_parameters()) tensors_[item.key()] = item.value();
    for (const auto& item : expert.named_buffers()) tensors_[item.key()] = item.value();
    const auto description = expert.describe();
    if (!description) throw Unsupported("has no description");
    description_ = *description;
  }

  ops::FusedExpert read() {
    if (description_.attention_heads > 0) return read_attention();
    if (!description_.input_norm.empty()) throw Unsupported("norms its input");
    for (std::size_t i = 0; i < description_.convs.size(); ++i) add(i);
    if (!expert_.fusion.weight.defined()) throw Unsupported("has no fusion");
    return expert_;
  }

 private:
  ops::FusedExpert read_attention() {
    if (description_.attention_heads != 8) throw Unsupported("is attention of another number of heads than 8");
    if (description_.convs.size() != 2) throw Unsupported("is attention of other projections than qkv and proj");
    expert_.attention_heads = description_.attention_heads;
    expert_.attention_norm = norm(description_.input_norm);
    expert_.qkv = conv(description_.convs[0]);
    expert_.proj = conv(description_.convs[1]);
    return expert_;
  }

  at::Tensor tensor(const std::string& name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? at::Tensor() : found->second;
  }

  ops::FusedEpilogue norm(const std::string& prefix) const {
    ops::FusedEpilogue epilogue;
    if (prefix.empty()) return epilogue;
    epilogue.gamma = tensor(prefix + ".weight");
    epilogue.beta = tensor(prefix + ".bias");
    epilogue.mean = tensor(prefix + ".running_mean");
    epilogue.var = tensor(prefix + ".running_var");
    epilogue.batches = tensor(prefix + ".num_batches_tracked");
    if (!epilogue.var.defined()) throw Unsupported("has a norm without running statistics");
    return epilogue;
  }

  ops::FusedConv conv(const ConvDescription& from) const {
    ops::FusedConv to{.weight = tensor(from.name + ".weight"), .dilation = from.shape.dilation};
    to.epilogue = norm(from.norm);
    to.epilogue.bias = tensor(from.name + ".bias");
    to.epilogue.gelu = from.gelu;
    return to;
  }

  void add(std::size_t i) {
    const auto& from = description_.convs[i];
    switch (from.source) {
      case Source::pooled:
        add_gate(from);
        break;
      case Source::branches:
        expert_.fusion = conv(from);
        break;
      default:
        add_branch(i);
    }
  }

  void add_gate(const ConvDescription& from) {
    auto& place = expert_.gate_reduce.weight.defined() ? expert_.gate_expand : expert_.gate_reduce;
    if (place.weight.defined()) throw Unsupported("has more than two pooled convolutions");
    place = conv(from);
    for (auto& branch : expert_.convs) branch.epilogue.gated = true;
  }

  /// A convolution whose result the next one reads goes to map 1, any other to the branches' results.
  void add_branch(std::size_t i) {
    const auto& from = description_.convs[i];
    const bool feeds = i + 1 < description_.convs.size() && description_.convs[i + 1].source == Source::previous;
    if (from.shape.groups > 1) {
      add_depthwise(from, feeds);
      return;
    }
    auto to = conv(from);
    to.source = own_map(from.source);
    if (from.source == Source::previous) to.source_channel = previous_channel_;
    to.target = feeds ? 1 : 0;
    to.target_channel = feeds ? fed_ : done_;
    if (feeds) {
      previous_channel_ = fed_;
      fed_ += from.shape.out;
      use(ops::FusedStencil::none);
    } else {
      done_ += from.shape.out;
    }
    expert_.convs.push_back(to);
  }

  void add_depthwise(const ConvDescription& from, bool feeds) {
    const auto& shape = from.shape;
    if (!feeds || from.source != Source::input || shape.groups != shape.in || shape.in != shape.out ||
        shape.dilation != 1 || from.gelu || (shape.kernel != 3 && shape.kernel != 5)) {
      throw Unsupported(fmt::format("has a grouped convolution '{}' of another form", from.name));
    }
    use(ops::FusedStencil::depthwise);
    expert_.depthwise = conv(from);
    previous_channel_ = 0;
  }

  int64_t own_map(Source source) {
    switch (source) {
      case Source::input:
        return -1;
      case Source::previous:
        return 1;
      case Source::low:
      case Source::mid:
      case Source::high:
        use(ops::FusedStencil::bands);
        return 1 + static_cast<int64_t>(source) - static_cast<int64_t>(Source::low);
      default:
        use(ops::FusedStencil::edges);
        return 1 + static_cast<int64_t>(source) - static_cast<int64_t>(Source::sobel);
    }
  }

  /// The three own maps serve one purpose an expert.
  void use(ops::FusedStencil stencil) {
    if (stencil_ && *stencil_ != stencil) throw Unsupported("derives maps in more than one way");
    stencil_ = stencil;
    expert_.stencil = stencil;
  }

  std::map<std::string, at::Tensor> tensors_;
  experts::ExpertDescription description_;
  ops::FusedExpert expert_;
  std::optional<ops::FusedStencil> stencil_;
  int64_t fed_ = 0, done_ = 0, previous_channel_ = 0;
};

}  // namespace

FusedPool make_fused_pool(const ExpertPool& pool) {
  FusedPool fused;
  for (std::size_t e = 0; e < pool.size(); ++e) {
    const auto modules = pool[e]->modules();
    fused.modules.insert(fused.modules.end(), modules.begin(), modules.end());
    try {
      fused.experts.push_back(Reader(*pool[e]).read());
    } catch (const Unsupported& reason) {
      fused.refusal = fmt::format("expert {} {}", e, reason.what());
      return fused;
    }
  }
  return fused;
}

}  // namespace codmoe::moe
