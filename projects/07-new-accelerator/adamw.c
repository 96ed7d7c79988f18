/* One step of AdamW (https://arxiv.org/abs/1711.05101) on all weights, gradients clipped to a norm that they have
 * together (https://arxiv.org/abs/1211.5063). powers are beta1 and beta2 to the number of this step, of each weight.
 */
#include <math.h>
#include <stdint.h>

const int64_t interface[] = {0}; /* by which toolchain.py knows a whole file */

void step(int64_t count, const int64_t* sizes, float* const* weights, float* const* gradients, float* const* first,
          float* const* second, float* const* power1, float* const* power2, const float* settings) {
  const float rate = settings[0], decay = settings[1], beta1 = settings[2], beta2 = settings[3];
  const float epsilon = settings[4], most = settings[5];
  double squares = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float* const g = gradients[i];
    float sum = 0;
    #pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < sizes[i]; ++j) sum += g[j] * g[j];
    squares += sum;
  }
  const float clip = most / fmax(sqrt(squares), most);
  for (int64_t i = 0; i < count; ++i) {
    float* const restrict w = weights[i];
    float* const restrict m = first[i];
    float* const restrict v = second[i];
    const float* const restrict gradient = gradients[i];
    const float kept = 1 - rate * decay, root = sqrtf(1 - *power2[i]), size = rate / (1 - *power1[i]);
    #pragma omp simd
    for (int64_t j = 0; j < sizes[i]; ++j) {
      const float g = clip * gradient[j];
      m[j] = beta1 * m[j] + (1 - beta1) * g;
      v[j] = beta2 * v[j] + (1 - beta2) * g * g;
      w[j] = kept * w[j] - size * m[j] / (sqrtf(v[j]) / root + epsilon);
    }
    *power1[i] *= beta1;
    *power2[i] *= beta2;
  }
}
