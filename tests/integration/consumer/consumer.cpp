#include <codmoe/moe/sparse_codmoe.h>

int main() {
  codmoe::moe::SparseCODMoE layer(32, codmoe::moe::MoeOptions{});
  layer->eval();
  return layer->forward(at::rand({2, 32, 8, 8})).y_bchw.size(1) == 32 ? 0 : 1;
}
