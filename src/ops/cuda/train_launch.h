// From the description of a layer in training to its launches.
#pragma once

#include "launch.h"
#include "train_tasks.h"

namespace codmoe::ops::cuda {

/// Both need plan.memory.saved and .work: memory aligned to 256 bytes of saved_bytes, and of forward_bytes or
/// backward_bytes. `saved` of the forward is the backward's.
cudaError_t launch_train_forward(const Training& training, const TrainPlan& plan, cudaStream_t stream);
cudaError_t launch_train_backward(const Training& training, const TrainPlan& plan, cudaStream_t stream);

/// Which experts' first norms are meant: those of maps made before the branches, or the others.
enum class NormPhase { early, late };
cudaError_t finish_statistics(const Training& training, const TrainingMemory& memory, int norm, NormPhase phase,
                              cudaStream_t stream);

/// How far the backward has come: through the fusions, the branches, or the experts' own maps.
enum class BackPhase { fusion, branches, own };
cudaError_t finish_gradients(const Training& training, const TrainingMemory& memory, BackPhase phase,
                             cudaStream_t stream);

template <Math kMath>
cudaError_t train_forward(const Training& training, const TrainPlan& plan, cudaStream_t stream);
template <Math kMath>
cudaError_t train_backward(const Training& training, const TrainPlan& plan, cudaStream_t stream);

}  // namespace codmoe::ops::cuda
