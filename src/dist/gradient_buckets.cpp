#include "codmoe/dist/gradient_buckets.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include "memory_order.h"

namespace codmoe::dist {

namespace {

struct Bucket {
  at::Tensor flat;
  std::vector<at::Tensor> parameters = {}, views = {};
  std::size_t ready = 0;  // of this step
  Pending sum = {};
};

/// Of parameters that follow one another.
Bucket make_bucket(const std::vector<at::Tensor>& parameters) {
  int64_t count = 0;
  for (const auto& parameter : parameters) count += parameter.numel();
  Bucket bucket{.flat = at::zeros({count}, parameters.front().options().requires_grad(false)),
                .parameters = parameters};
  int64_t begin = 0;
  for (const auto& parameter : parameters) {
    bucket.views.push_back(in_order_of(bucket.flat.narrow(0, begin, parameter.numel()), parameter));
    begin += parameter.numel();
  }
  return bucket;
}

}  // namespace

class GradientBuckets::Buckets {
 public:
  Buckets(Group& group, const std::vector<at::Tensor>& parameters, int64_t bytes);

  void start();
  void finish();
  /// A gradient is there.
  void note(std::size_t bucket);
  const std::vector<Bucket>& all() const { return buckets_; }

 private:
  void send(Bucket& bucket);

  Group& group_;
  std::vector<Bucket> buckets_;
  std::size_t sent_ = 0;
  bool started_ = false;
};

GradientBuckets::Buckets::Buckets(Group& group, const std::vector<at::Tensor>& parameters, int64_t bytes)
    : group_(group) {
  std::vector<at::Tensor> waiting;
  int64_t size = 0;
  const auto close = [&] {
    if (!waiting.empty()) buckets_.push_back(make_bucket(waiting));
    waiting.clear();
    size = 0;
  };
  for (auto parameter = parameters.rbegin(); parameter != parameters.rend(); ++parameter) {
    if (!waiting.empty() && waiting.front().scalar_type() != parameter->scalar_type()) close();
    waiting.push_back(*parameter);
    size += static_cast<int64_t>(parameter->nbytes());
    if (size >= bytes) close();
  }
  close();
}

void GradientBuckets::Buckets::start() {
  for (auto& bucket : buckets_) bucket.ready = 0;
  sent_ = 0;
  started_ = true;
}

void GradientBuckets::Buckets::note(std::size_t bucket) {
  if (!started_) return;
  ++buckets_[bucket].ready;
  while (sent_ < buckets_.size() && buckets_[sent_].ready == buckets_[sent_].parameters.size()) send(buckets_[sent_++]);
}

void GradientBuckets::Buckets::send(Bucket& bucket) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> targets, gradients;
  for (std::size_t i = 0; i < bucket.parameters.size(); ++i) {
    const auto& gradient = bucket.parameters[i].grad();
    if (gradient.defined()) {
      targets.push_back(bucket.views[i]);
      gradients.push_back(gradient);
    } else {
      at::Tensor(bucket.views[i]).zero_();
    }
  }
  if (!targets.empty()) at::_foreach_copy_(targets, gradients);
  for (std::size_t i = 0; i < bucket.parameters.size(); ++i) bucket.parameters[i].mutable_grad() = bucket.views[i];
  bucket.sum = group_.start_sum(bucket.flat);
}

void GradientBuckets::Buckets::finish() {
  TORCH_CHECK(started_, "no sum of gradients was started");
  started_ = false;
  while (sent_ < buckets_.size()) send(buckets_[sent_++]);
  for (auto& bucket : buckets_) std::exchange(bucket.sum, {})();
}

namespace {

class Hook : public torch::autograd::PostAccumulateGradHook {
 public:
  explicit Hook(std::function<void()> note) : note_(std::move(note)) {}
  void operator()(const at::Tensor&) override { note_(); }

 private:
  std::function<void()> note_;
};

}  // namespace

GradientBuckets::GradientBuckets(Group& group, const std::vector<at::Tensor>& parameters, int64_t bytes)
    : buckets_(std::make_shared<Buckets>(group, parameters, bytes)) {
  for (std::size_t i = 0; i < buckets_->all().size(); ++i) {
    for (const auto& parameter : buckets_->all()[i].parameters) {
      const auto note = [weak = std::weak_ptr(buckets_), i] {
        if (const auto buckets = weak.lock()) buckets->note(i);
      };
      torch::autograd::impl::set_post_acc_grad_hooks(parameter, std::make_unique<Hook>(note));
    }
  }
}

GradientBuckets::~GradientBuckets() {
  for (const auto& bucket : buckets_->all()) {
    for (const auto& parameter : bucket.parameters) torch::autograd::impl::set_post_acc_grad_hooks(parameter, nullptr);
  }
}

void GradientBuckets::start() { buckets_->start(); }

void GradientBuckets::finish() { buckets_->finish(); }

}  // namespace codmoe::dist
