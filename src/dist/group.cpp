#include "codmoe/dist/group.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>

#include "backends.h"

namespace codmoe::dist {

using c10d::Backend;

class Group::Backends {
 public:
  Backends(const c10::intrusive_ptr<c10d::Store>& store, int64_t rank, int64_t ranks, c10::Device device)
      : host_(make_gloo(c10::make_intrusive<c10d::PrefixStore>("gloo", store), rank, ranks)),
        device_(device.is_cuda() ? make_nccl(c10::make_intrusive<c10d::PrefixStore>("nccl", store), rank, ranks)
                                 : nullptr) {}

  Backend& host() { return *host_; }
  Backend& of(const at::Tensor& tensor) {
    TORCH_CHECK(tensor.is_contiguous(), "a collective takes a contiguous tensor");
    TORCH_CHECK(tensor.is_cpu() || device_, "the ranks have no communicator for tensors on ", tensor.device());
    return tensor.is_cpu() ? *host_ : *device_;
  }

 private:
  c10::intrusive_ptr<Backend> host_, device_;
};

namespace {

/// NCCL returns nothing to wait for where a collective is part of the current stream.
void wait(const c10::intrusive_ptr<c10d::Work>& work) {
  if (work) work->wait();
}

}  // namespace

Group::Group(const c10::intrusive_ptr<c10d::Store>& store, int64_t rank, int64_t ranks, c10::Device device)
    : rank_(rank), ranks_(ranks), backends_(std::make_unique<Backends>(store, rank, ranks, device)) {}

Group::~Group() = default;

void Group::sum(at::Tensor tensor) {
  std::vector<at::Tensor> tensors{tensor};
  c10d::AllreduceOptions options;
  options.asyncOp = false;
  wait(backends_->of(tensor).allreduce(tensors, options));
}

Pending Group::start_sum(at::Tensor tensor) {
  std::vector<at::Tensor> tensors{tensor};
  return [work = backends_->of(tensor).allreduce(tensors)] { wait(work); };
}

void Group::broadcast(at::Tensor tensor, int64_t from) {
  std::vector<at::Tensor> tensors{tensor};
  c10d::BroadcastOptions options;
  options.rootRank = from;
  options.asyncOp = false;
  wait(backends_->of(tensor).broadcast(tensors, options));
}

at::Tensor Group::gather(const at::Tensor& tensor) {
  auto shape = tensor.sizes().vec();
  shape.insert(shape.begin(), ranks_);
  const auto all = at::empty(shape, tensor.options());
  std::vector<std::vector<at::Tensor>> outputs{all.unbind(0)};
  std::vector<at::Tensor> inputs{tensor};
  c10d::AllgatherOptions options;
  options.asyncOp = false;
  wait(backends_->of(tensor).allgather(outputs, inputs, options));
  return all;
}

at::Tensor Group::exchange(const at::Tensor& rows, const RowCounts& counts) {
  auto input = rows.contiguous();
  auto shape = rows.sizes().vec();
  shape[0] = std::accumulate(counts.receive.begin(), counts.receive.end(), int64_t{0});
  auto output = at::empty(shape, input.options());
  auto send = counts.send, receive = counts.receive;
  c10d::AllToAllOptions options;
  options.asyncOp = false;
  wait(backends_->of(input).alltoall_base(output, input, receive, send, options));
  return output;
}

int64_t Group::largest(int64_t value) {
  std::vector<at::Tensor> tensors{at::full({1}, value, at::kLong)};
  c10d::AllreduceOptions options;
  options.reduceOp = c10d::ReduceOp::MAX;
  wait(backends_->host().allreduce(tensors, options));
  return tensors[0].item<int64_t>();
}

std::vector<std::string> Group::gather(const std::string& text) {
  const auto length = std::ssize(text);
  const auto lengths = gather(at::full({1}, length, at::kLong));
  auto padded = at::zeros({lengths.max().item<int64_t>()}, at::kByte);
  std::copy(text.begin(), text.end(), padded.mutable_data_ptr<uint8_t>());
  const auto bytes = gather(padded);
  std::vector<std::string> texts;
  for (int64_t rank = 0; rank < ranks_; ++rank) {
    const auto row = bytes[rank];
    const auto* begin = row.const_data_ptr<uint8_t>();
    texts.emplace_back(begin, begin + lengths[rank].item<int64_t>());
  }
  return texts;
}

}  // namespace codmoe::dist
