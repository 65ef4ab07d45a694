#include "engine/kernels/kernels.h"
#include "engine/kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/loss.cpp"
#include <hwy/foreach_target.h>
// Highway wants foreach_target.h first.
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>

#include "engine/kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace retort::engine::kernels::HWY_NAMESPACE {

// One row of logits in vectors, the last of them partial: nothing outside the row is read or written.
using LossTag = hn::CappedTag<float, 8>;
using V = hn::Vec<LossTag>;
using M = hn::Mask<LossTag>;

// A row of `size` values of which `readable` ≥ size may be read (the rest of its stride, or later rows): only
// a row at the very end of its buffer has to be copied. Masked loads would do, but those of old targets read
// what they mask.
struct Row {
  const float* values;
  size_t size;
  size_t readable;
  [[nodiscard]] HWY_INLINE M valid(size_t i) const { return hn::FirstN(LossTag(), size - i); }
  // `fill` takes the place of values outside the row.
  [[nodiscard]] HWY_INLINE V load(size_t i, V fill) const {
    const LossTag d;
    if (i + hn::Lanes(d) <= size) return hn::LoadU(d, values + i);
    if (i + hn::Lanes(d) <= readable) return hn::IfThenElse(valid(i), hn::LoadU(d, values + i), fill);
    alignas(32) float part[8];
    hn::Store(fill, d, part);
    for (size_t lane = 0; lane < size - i; ++lane) part[lane] = values[i + lane];
    return hn::Load(d, part);
  }
};

// NaN when a value is not finite, so that it reaches the loss: Max and Exp would hide it.
HWY_INLINE float MaxOfRow(const Row& row) {
  const LossTag d;
  V largest = hn::Set(d, row.values[0]);
  V poison = hn::Zero(d);
  for (size_t i = 0; i < row.size; i += hn::Lanes(d)) {
    const V v = row.load(i, largest);
    largest = hn::Max(v, largest);
    poison = hn::MulAdd(v, hn::Zero(d), poison);
  }
  return hn::GetLane(hn::MaxOfLanes(d, largest)) + hn::GetLane(hn::SumOfLanes(d, poison));
}

// exp((z − maximum) · factor), 0 outside the row.
HWY_INLINE V ExpAt(const Row& row, size_t i, V maximum, V factor) {
  const LossTag d;
  const V e = hn::Exp(d, hn::Mul(hn::Sub(row.load(i, maximum), maximum), factor));
  return i + hn::Lanes(d) <= row.size ? e : hn::IfThenElseZero(row.valid(i), e);
}

HWY_INLINE float SumOfExp(const Row& row, V maximum, V factor) {
  const LossTag d;
  V sum = hn::Zero(d);
  for (size_t i = 0; i < row.size; i += hn::Lanes(d)) sum = hn::Add(sum, ExpAt(row, i, maximum, factor));
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

// Writes 0 beyond `size`, up to `stride`.
HWY_INLINE void StoreRow(V v, float* values, size_t i, size_t size, size_t stride) {
  const LossTag d;
  if (i + hn::Lanes(d) <= size) {
    hn::StoreU(v, d, values + i);
  } else if (i + hn::Lanes(d) <= stride) {
    hn::StoreU(hn::IfThenElseZero(hn::FirstN(d, size - i), v), d, values + i);
  } else {
    alignas(32) float part[8];
    hn::Store(v, d, part);
    for (size_t lane = 0; lane < size - i; ++lane) values[i + lane] = part[lane];
  }
}

// Clears the entries that StoreRow left.
HWY_INLINE void ClearRest(float* values, size_t size, size_t stride) {
  for (size_t i = size; i < stride; ++i) values[i] = 0.0F;
}

void Loss(int images, int classes, size_t stride, const float* logits, const uint16_t* labels,
          const float* teacher_logits, const Objective& objective, int batch_count, float* dlogits,
          LossResult* result) {
  const LossTag d;
  const size_t lanes = hn::Lanes(d);
  const auto size = static_cast<size_t>(classes);
  const bool distils = teacher_logits != nullptr && objective.alpha < 1.0F;
  const float alpha = distils ? objective.alpha : 1.0F;
  const float temperature = objective.temperature;
  const float per_image = 1.0F / static_cast<float>(batch_count);
  const float uniform = objective.label_smoothing / static_cast<float>(classes);
  const V one = hn::Set(d, 1.0F);
  const V cold = hn::Set(d, 1.0F / temperature);
  const auto hard_weight = static_cast<double>(alpha);
  const double soft_weight =
      (1.0 - hard_weight) * static_cast<double>(temperature) * static_cast<double>(temperature);
  *result = {};
  for (size_t image = 0; image < static_cast<size_t>(images); ++image) {
    const Row z{logits + image * stride, size, stride};
    const size_t label = labels[image];
    const float largest = MaxOfRow(z);
    const float label_logit = z.values[label];
    if (label_logit == largest && std::find(z.values, z.values + label, largest) == z.values + label)
      ++result->correct;
    const V maximum = hn::Set(d, largest);

    const float sum = SumOfExp(z, maximum, one);
    double picked = (1.0 - static_cast<double>(objective.label_smoothing)) *
                    (static_cast<double>(label_logit) - static_cast<double>(largest));
    if (uniform > 0) {
      V differences = hn::Zero(d);
      for (size_t i = 0; i < size; i += lanes)
        differences = hn::Add(differences, hn::Sub(z.load(i, maximum), maximum));
      picked +=
          static_cast<double>(uniform) * static_cast<double>(hn::GetLane(hn::SumOfLanes(d, differences)));
    }
    result->loss_sum += hard_weight * (std::log(static_cast<double>(sum)) - picked);

    Row t{};
    V teacher_maximum = hn::Zero(d);
    V teacher_inverse = hn::Zero(d);
    V cold_inverse = hn::Zero(d);
    if (distils) {
      t = {teacher_logits + image * size, size, (static_cast<size_t>(images) - image) * size};
      teacher_maximum = hn::Set(d, MaxOfRow(t));
      const float teacher_sum = SumOfExp(t, teacher_maximum, cold);
      const float cold_sum = SumOfExp(z, maximum, cold);
      teacher_inverse = hn::Set(d, 1.0F / teacher_sum);
      cold_inverse = hn::Set(d, 1.0F / cold_sum);
      // KL = Σ p · (log p − log q), with log p = (t − max t)/T − log Σ and q likewise; the sums' logs leave
      // the loop.
      V cross = hn::Zero(d);
      for (size_t i = 0; i < size; i += lanes) {
        const V p = ExpAt(t, i, teacher_maximum, cold);
        const V difference = hn::Sub(hn::Sub(t.load(i, teacher_maximum), teacher_maximum),
                                     hn::Sub(z.load(i, maximum), maximum));
        cross = hn::MulAdd(p, difference, cross);
      }
      const double divergence = static_cast<double>(hn::GetLane(hn::SumOfLanes(d, cross))) /
                                    (static_cast<double>(teacher_sum) * static_cast<double>(temperature)) -
                                std::log(static_cast<double>(teacher_sum)) +
                                std::log(static_cast<double>(cold_sum));
      result->loss_sum += soft_weight * divergence;
    }
    if (dlogits == nullptr) continue;

    float* out = dlogits + image * stride;
    const V hard = hn::Set(d, alpha * per_image / sum);
    const V smoothing = hn::Set(d, alpha * per_image * uniform);
    const V soft = hn::Set(d, (1.0F - alpha) * temperature * per_image);
    for (size_t i = 0; i < size; i += lanes) {
      V gradient = hn::MulSub(ExpAt(z, i, maximum, one), hard, smoothing);
      if (distils) {
        const V q = hn::Mul(ExpAt(z, i, maximum, cold), cold_inverse);
        const V p = hn::Mul(ExpAt(t, i, teacher_maximum, cold), teacher_inverse);
        gradient = hn::MulAdd(hn::Sub(q, p), soft, gradient);
      }
      StoreRow(gradient, out, i, size, stride);
    }
    out[label] -= alpha * per_image * (1.0F - objective.label_smoothing);
    ClearRest(out, size, stride);
  }
}

}  // namespace retort::engine::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace retort::engine::kernels {

HWY_EXPORT(Loss);

LossResult softmax_loss(int images, int classes, size_t stride, const float* logits, const uint16_t* labels,
                        const float* teacher_logits, const Objective& objective, int batch_count,
                        float* dlogits) {
  LossResult result;
  HWY_DYNAMIC_DISPATCH(Loss)
  (images, classes, stride, logits, labels, teacher_logits, objective, batch_count, dlogits, &result);
  return result;
}

}  // namespace retort::engine::kernels
#endif
