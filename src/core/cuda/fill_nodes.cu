#include <algorithm>
#include <cstdint>
#include <vector>

#include "fill_nodes.h"

namespace codmoe::core::cuda {

namespace {

constexpr unsigned kThreads = 256;
constexpr std::size_t kMostBlocks = 1024;

/// Fills `bytes` from `to` on with `pattern`, 16 bytes a thread and turn.
__global__ void fill_kernel(unsigned char* to, const uint4 pattern, const std::size_t bytes) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * kThreads * sizeof(uint4);
  const bool aligned = reinterpret_cast<std::uintptr_t>(to) % sizeof(uint4) == 0;
  const auto* values = reinterpret_cast<const unsigned char*>(&pattern);
  for (std::size_t at = (static_cast<std::size_t>(blockIdx.x) * kThreads + threadIdx.x) * sizeof(uint4); at < bytes;
       at += step) {
    if (aligned && at + sizeof(uint4) <= bytes) {
      *reinterpret_cast<uint4*>(to + at) = pattern;
    } else {
      for (std::size_t i = 0; i < min(sizeof(uint4), bytes - at); ++i) to[at + i] = values[i];
    }
  }
}

/// Elements of 1, 2 or 4 bytes as 4 bytes.
unsigned repeated(const cudaMemsetParams& fill) {
  if (fill.elementSize == 1) return (fill.value & 0xFFU) * 0x01010101U;
  if (fill.elementSize == 2) return (fill.value & 0xFFFFU) * 0x00010001U;
  return fill.value;
}

cudaError_t add_kernel(cudaGraph_t graph, const cudaMemsetParams& fill, cudaGraphNode_t& node) {
  auto* to = static_cast<unsigned char*>(fill.dst);
  const unsigned value = repeated(fill);
  uint4 pattern{value, value, value, value};
  std::size_t bytes = fill.width * fill.elementSize;
  void* arguments[] = {&to, &pattern, &bytes};
  const std::size_t blocks = (bytes + kThreads * sizeof(uint4) - 1) / (kThreads * sizeof(uint4));
  cudaKernelNodeParams kernel{};
  kernel.func = reinterpret_cast<void*>(&fill_kernel);
  kernel.gridDim = dim3(static_cast<unsigned>(std::clamp<std::size_t>(blocks, 1, kMostBlocks)));
  kernel.blockDim = dim3(kThreads);
  kernel.kernelParams = arguments;
  return cudaGraphAddKernelNode(&node, graph, nullptr, 0, &kernel);
}

/// Neighbours of a node on one side, with what the edges to them say.
struct Neighbours {
  std::vector<cudaGraphNode_t> nodes;
  std::vector<cudaGraphEdgeData> edges;
};

/// `query` is cudaGraphNodeGetDependencies or cudaGraphNodeGetDependentNodes.
template <class Query>
cudaError_t neighbours(cudaGraphNode_t node, Query query, Neighbours& found) {
  std::size_t count = 0;
  if (const auto status = query(node, nullptr, nullptr, &count); status != cudaSuccess || count == 0) return status;
  found.nodes.resize(count);
  found.edges.resize(count);
  return query(node, found.nodes.data(), found.edges.data(), &count);
}

/// Gives `to` the place of `from` among the graph's nodes, and destroys `from`.
cudaError_t replace(cudaGraph_t graph, cudaGraphNode_t from, cudaGraphNode_t to) {
  Neighbours before, after;
  auto status = neighbours(from, cudaGraphNodeGetDependencies, before);
  if (status == cudaSuccess) status = neighbours(from, cudaGraphNodeGetDependentNodes, after);
  const std::vector<cudaGraphNode_t> own(std::max(before.nodes.size(), after.nodes.size()), to);
  if (status == cudaSuccess && !before.nodes.empty()) {
    status = cudaGraphAddDependencies(graph, before.nodes.data(), own.data(), before.edges.data(), before.nodes.size());
  }
  if (status == cudaSuccess && !after.nodes.empty()) {
    status = cudaGraphAddDependencies(graph, own.data(), after.nodes.data(), after.edges.data(), after.nodes.size());
  }
  return status == cudaSuccess ? cudaGraphDestroyNode(from) : status;
}

cudaError_t fill_by_kernel(cudaGraph_t graph, cudaGraphNode_t node) {
  cudaGraphNodeType type{};
  if (const auto status = cudaGraphNodeGetType(node, &type); status != cudaSuccess) return status;
  if (type != cudaGraphNodeTypeMemset) return cudaSuccess;
  cudaMemsetParams fill{};
  if (const auto status = cudaGraphMemsetNodeGetParams(node, &fill); status != cudaSuccess) return status;
  if (fill.height > 1) return cudaSuccess;
  cudaGraphNode_t kernel{};
  if (const auto status = add_kernel(graph, fill, kernel); status != cudaSuccess) return status;
  return replace(graph, node, kernel);
}

}  // namespace

cudaError_t fill_by_kernels(cudaGraph_t graph) {
  std::size_t count = 0;
  if (const auto status = cudaGraphGetNodes(graph, nullptr, &count); status != cudaSuccess) return status;
  std::vector<cudaGraphNode_t> nodes(count);
  if (const auto status = cudaGraphGetNodes(graph, nodes.data(), &count); status != cudaSuccess) return status;
  for (auto* const node : nodes) {
    if (const auto status = fill_by_kernel(graph, node); status != cudaSuccess) return status;
  }
  return cudaSuccess;
}

}  // namespace codmoe::core::cuda
