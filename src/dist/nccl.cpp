#ifdef CODMOE_NCCL
#define USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include "backends.h"
#include "codmoe/core/error.h"

namespace codmoe::dist {

#ifdef CODMOE_NCCL

c10::intrusive_ptr<c10d::Backend> make_nccl(const c10::intrusive_ptr<c10d::Store>& store, int64_t rank, int64_t ranks) {
  auto options = c10d::ProcessGroupNCCL::Options::create(/*is_high_priority_stream=*/true);
  return c10::make_intrusive<c10d::ProcessGroupNCCL>(store, static_cast<int>(rank), static_cast<int>(ranks), options);
}

#else

c10::intrusive_ptr<c10d::Backend> make_nccl(const c10::intrusive_ptr<c10d::Store>&, int64_t, int64_t) {
  throw core::Error("several GPUs need a build with CUDA and NCCL's header (nccl.h); cmake says whether it was found");
}

#endif

}  // namespace codmoe::dist
