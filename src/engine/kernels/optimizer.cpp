#include "engine/kernels/kernels.h"
#include "engine/kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/optimizer.cpp"
#include <hwy/foreach_target.h>
// Highway wants foreach_target.h first.
#include <hwy/highway.h>

#include <cmath>

#include "engine/kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace retort::engine::kernels::HWY_NAMESPACE {

// w −= rate · m / (sqrt(v) + epsilon), after the moments took the gradient in.
bool AdamUpdate(size_t n, float beta1, float beta2, float rate, float epsilon, float decay,
                const float* gradient, const float* mask, float* first, float* second, float* weights) {
  FiniteCheck finite;
  for_each_vector(n, [&](auto d, size_t i) HWY_ATTR {
    const auto g = hn::LoadU(d, gradient + i);
    auto m = hn::LoadU(d, first + i);
    auto v = hn::LoadU(d, second + i);
    auto w = hn::LoadU(d, weights + i);
    m = hn::MulAdd(hn::Set(d, 1.0F - beta1), hn::Sub(g, m), m);
    v = hn::MulAdd(hn::Set(d, 1.0F - beta2), hn::Sub(hn::Mul(g, g), v), v);
    w = hn::NegMulAdd(hn::Set(d, decay), w, w);
    w = hn::Sub(w, hn::Div(hn::Mul(hn::Set(d, rate), m), hn::Add(hn::Sqrt(v), hn::Set(d, epsilon))));
    if (mask != nullptr) w = hn::Mul(w, hn::LoadU(d, mask + i));
    hn::StoreU(m, d, first + i);
    hn::StoreU(v, d, second + i);
    hn::StoreU(w, d, weights + i);
    // A gradient whose square overflows leaves the weight as it is, for ever.
    finite.see(d, v);
    finite.see(d, w);
  });
  return finite.all();
}

bool NesterovUpdate(size_t n, float momentum, float rate, float decay, const float* gradient,
                    const float* mask, float* velocity, float* weights) {
  FiniteCheck finite;
  for_each_vector(n, [&](auto d, size_t i) HWY_ATTR {
    const auto step = hn::Mul(hn::Set(d, rate), hn::LoadU(d, gradient + i));
    const auto mu = hn::Set(d, momentum);
    const auto v = hn::MulSub(mu, hn::LoadU(d, velocity + i), step);
    auto w = hn::LoadU(d, weights + i);
    w = hn::NegMulAdd(hn::Set(d, decay), w, w);
    w = hn::Add(w, hn::MulSub(mu, v, step));
    if (mask != nullptr) w = hn::Mul(w, hn::LoadU(d, mask + i));
    hn::StoreU(v, d, velocity + i);
    hn::StoreU(w, d, weights + i);
    finite.see(d, w);
  });
  return finite.all();
}

}  // namespace retort::engine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace retort::engine::kernels {

HWY_EXPORT(AdamUpdate);
HWY_EXPORT(NesterovUpdate);

bool adam_step(size_t n, const OptimizerOptions& options, float learning_rate, int64_t step,
               const float* gradient, const float* mask, float* first, float* second, float* weights) {
  const double t = static_cast<double>(step);
  const double correction1 = 1.0 - std::pow(static_cast<double>(options.beta1), t);
  const double correction2 = std::sqrt(1.0 - std::pow(static_cast<double>(options.beta2), t));
  const double rate = static_cast<double>(learning_rate) * correction2 / correction1;
  // PyTorch adds epsilon to the corrected root, which is Keras's form with this epsilon.
  const double epsilon = options.epsilon_form == EpsilonForm::PyTorch
                             ? static_cast<double>(options.epsilon) * correction2
                             : static_cast<double>(options.epsilon);
  return HWY_DYNAMIC_DISPATCH(AdamUpdate)(n, options.beta1, options.beta2, static_cast<float>(rate),
                                          static_cast<float>(epsilon), learning_rate * options.weight_decay,
                                          gradient, mask, first, second, weights);
}

bool sgd_step(size_t n, const OptimizerOptions& options, float learning_rate, const float* gradient,
              const float* mask, float* velocity, float* weights) {
  return HWY_DYNAMIC_DISPATCH(NesterovUpdate)(n, options.momentum, learning_rate,
                                              learning_rate * options.weight_decay, gradient, mask, velocity,
                                              weights);
}

}  // namespace retort::engine::kernels
#endif
