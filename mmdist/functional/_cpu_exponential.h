/* What the C kernels share. */
#include <math.h>
#include <stdint.h>

/* exp(x) to about 1 ulp; 0 below -87.3, inf above 88.7, NaN for NaN. */
static inline float exponential(float x) {
    union { float f; int32_t i; } bits, scale;
    float y = x < -87.3f ? -87.3f : x;
    y = y > 88.7f ? 88.7f : y;
    bits.f = y * 1.44269504f + 12582912.0f; /* rounds to an integer, in the low bits */
    float n = bits.f - 12582912.0f;
    float r = (y - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    scale.i = (bits.i - 0x4B400000 + 126) << 23; /* half the power, which is finite for 2^128 too */
    p = p * scale.f * 2.0f;
    p = x < -87.3f ? 0.0f : p;
    return x > 88.7f ? INFINITY : p;
}
