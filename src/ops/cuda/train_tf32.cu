#include "train_kernels.cuh"

namespace codmoe::ops::cuda {

template cudaError_t train_forward<Math::tf32>(const Training&, const TrainPlan&, cudaStream_t);
template cudaError_t train_backward<Math::tf32>(const Training&, const TrainPlan&, cudaStream_t);

}  // namespace codmoe::ops::cuda
