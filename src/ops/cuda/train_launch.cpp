#include "train_launch.h"

namespace codmoe::ops::cuda {

cudaError_t launch_train_forward(const Training& training, const TrainPlan& plan, cudaStream_t stream) {
  switch (training.math) {
    case Math::bfloat16:
      return train_forward<Math::bfloat16>(training, plan, stream);
    case Math::tf32:
      return train_forward<Math::tf32>(training, plan, stream);
    case Math::float32:
      return train_forward<Math::float32>(training, plan, stream);
  }
  return cudaErrorInvalidValue;
}

cudaError_t launch_train_backward(const Training& training, const TrainPlan& plan, cudaStream_t stream) {
  switch (training.math) {
    case Math::bfloat16:
      return train_backward<Math::bfloat16>(training, plan, stream);
    case Math::tf32:
      return train_backward<Math::tf32>(training, plan, stream);
    case Math::float32:
      return train_backward<Math::float32>(training, plan, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace codmoe::ops::cuda
