#include <ATen/Context.h>
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <ATen/cuda/Sleep.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/profiler_kineto.h>
#include <algorithm>
#include <iostream>
#include <map>

#include "moe/layer_run.h"

namespace codmoe::moe {
namespace {
TEST(ZzTiming, Fused) {
  const at::NoGradGuard no_grad;
  const c10::cuda::CUDAStreamGuard stream(c10::cuda::getStreamFromPool());
  std::vector<std::vector<std::string>> pools = {MoeOptions().experts};
  std::vector<int64_t> batches = {1, 4, 8, 16, 64};
  if (std::getenv("ZZ_EACH")) {
    pools.clear();
    for (const auto& e : MoeOptions().experts) pools.push_back({e});
    batches = {1, 16, 64};
  }
  if (std::getenv("ZZ_ONE")) { pools = {{std::getenv("ZZ_ONE")}}; batches = {std::atoi(std::getenv("ZZ_B"))}; }
  for (const auto& names : pools) for (const auto type : {at::kBFloat16}) {
    at::globalContext().setAllowTF32CuDNN(true);
    SparseCODMoE layer(288, MoeOptions{.experts = names, .top_k = names.size() == 1 ? 1 : 2});
    std::cout << names[0] << "\n";
    layer->to(c10::kCUDA);
    for (const auto& expert : layer->pool()) {
      for (auto& p : expert->parameters()) p.set_data(p.dim() == 4 ? p.to(type).contiguous(at::MemoryFormat::ChannelsLast) : p.to(type));
      for (auto& b : expert->buffers()) if (b.is_floating_point()) b.set_data(b.to(type));
    }
    layer->eval();
    layer->set_dispatch(Dispatch::fused);
    std::vector<at::Tensor> gates;
    for (int i = 0; i < 20; ++i) gates.push_back((test::randn({(int64_t)names.size(), 288}, 100 + i) * 3).to(c10::kCUDA, at::kFloat));
    for (const int64_t batch : batches) {
      const auto x = test::randn({batch, 288, 22, 22}, 7).to(c10::kCUDA, type).contiguous(at::MemoryFormat::ChannelsLast);
      layer->named_parameters()["router.gate.bias"].zero_();
      layer->forward(x);
      at::cuda::CUDAGraph graph;
      graph.capture_begin();
      layer->forward(x);
      graph.capture_end();
      std::vector<double> all;
      for (int r = 0; r < 5; ++r) for (auto& g : gates) {
        layer->named_parameters()["router.gate.weight"].copy_(g);
        at::cuda::CUDAEvent a(cudaEventDefault), b(cudaEventDefault);
        at::cuda::sleep(200000);
        a.record(); graph.replay(); b.record(); b.synchronize();
        all.push_back(a.elapsed_time(b));
      }
      double mean = 0; for (double v : all) mean += v / all.size();
      std::sort(all.begin(), all.end());
      std::cout << c10::toString(type) << " B=" << batch << " mean " << mean << " median " << all[all.size() / 2] << " min " << all[0] << " max " << all.back() << " ms\n";
      if (std::getenv("ZZ_ONE")) continue;
      using namespace torch::autograd::profiler;
      std::set<torch::profiler::impl::ActivityType> activities{torch::profiler::impl::ActivityType::CUDA};
      torch::profiler::impl::ProfilerConfig config(torch::profiler::impl::ProfilerState::KINETO);
      prepareProfiler(config, activities);
      enableProfiler(config, activities);
      for (auto& g : gates) { layer->named_parameters()["router.gate.weight"].copy_(g); graph.replay(); }
      c10::cuda::device_synchronize();
      auto result = disableProfiler();
      std::map<std::string, std::pair<double, int>> sums;
      int order = 0;
      for (const auto& e : result->events()) {
        auto name = e.name();
        if (name.find("kernel") == std::string::npos || name.find("codmoe") == std::string::npos) continue;
        if (name.find("experts_kernel") != std::string::npos) name = (order++ % 2 == 0 ? "prepare" : "branches");
        auto& s = sums[name.substr(0, 60)];
        s.first += e.durationNs() * 1e-3; s.second++;
      }
      for (auto& [n, s] : sums) std::cout << "    " << n << " " << s.first / s.second << " us x" << s.second << "\n";
    }
  }
}
}  // namespace
}  // namespace codmoe::moe
