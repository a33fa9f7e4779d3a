/* The two passes of the streaming relation losses for the CPU: see _blocked.py, which computes the same.
 *
 * A tile is some positions of one image, all classes, laid out (class, position) in scratch memory that stays in the
 * cache: every loop over positions is one that compilers turn into vector instructions. Nothing here needs
 * -ffast-math, so a NaN in the scores is a NaN in the result.
 */
#include "_cpu_exponential.h"

#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

enum { SOFTMAX, SIGMOID, NONE };
enum { FLOAT32, BFLOAT16 };
enum { LANES = 16, MOST = 256, CHUNK = 32 }; /* positions a vector step and a tile; classes a partial sum */
static const float TINY = 1.17549435e-38f;

typedef struct { /* (N, C, S) scores; strides in elements */
    void *data;
    int64_t image, channel, position, dtype;
} Map;

typedef struct {
    int64_t images, classes, positions, activation, rows, columns, threads;
    float tau, guard, eps, still;
} Problem;

typedef struct { /* (C,) factors and means of the columns, and the factor of the rows, divided by tau */
    const float *col_s, *col_t, *mean_s, *mean_t;
    float row;
} Coefficients;

typedef struct {
    float *s, *t, *w; /* activated scores, (C, size) each; weights, (size,), where there are any */
    int64_t image, start, size, stride;
    float mean_s[MOST], mean_t[MOST], norm_s[MOST], norm_t[MOST], product[MOST], spare[MOST];
} Tile;

static inline float from_bfloat16(uint16_t x) {
    union { uint32_t i; float f; } bits = {(uint32_t)x << 16};
    return bits.f;
}

static inline uint16_t to_bfloat16(float x) { /* to nearest, ties to even */
    union { float f; uint32_t i; } bits = {x};
    uint32_t rounded = (bits.i + 0x7FFF + ((bits.i >> 16) & 1)) >> 16;
    return x != x ? 0x7FC0 : (uint16_t)rounded;
}

static int64_t tile_size(const Problem *by) { /* positions: both networks' scores stay in 128 KiB */
    int64_t size = 16384 / by->classes / LANES * LANES;
    return size < LANES ? LANES : size > MOST ? MOST : size;
}

static inline float get(const Map *map, int64_t at) {
    return map->dtype == FLOAT32 ? ((const float *)map->data)[at] : from_bfloat16(((const uint16_t *)map->data)[at]);
}

static inline void put(const Map *map, int64_t at, float value) {
    if (map->dtype == FLOAT32) ((float *)map->data)[at] = value;
    else ((uint16_t *)map->data)[at] = to_bfloat16(value);
}

/* A tile of the map into scratch memory, or back. The inner loop goes along what lies together in the map. */
static void load(const Map *map, const Tile *tile, int64_t classes, float *into) {
    int64_t first = tile->image * map->image + tile->start * map->position, n = tile->size, stride = tile->stride;
    if (map->channel == 1 && map->position != 1) {
        for (int64_t p = 0; p < n; p++)
            for (int64_t c = 0; c < classes; c++) into[c * stride + p] = get(map, first + p * map->position + c);
    } else if (map->position == 1) {
        for (int64_t c = 0; c < classes; c++)
            for (int64_t p = 0; p < n; p++) into[c * stride + p] = get(map, first + c * map->channel + p);
    } else {
        for (int64_t c = 0; c < classes; c++)
            for (int64_t p = 0; p < n; p++)
                into[c * stride + p] = get(map, first + c * map->channel + p * map->position);
    }
}

static void store(const Map *map, const Tile *tile, int64_t classes, const float *from) {
    int64_t first = tile->image * map->image + tile->start * map->position, n = tile->size, stride = tile->stride;
    if (map->channel == 1 && map->position != 1) {
        for (int64_t p = 0; p < n; p++)
            for (int64_t c = 0; c < classes; c++) put(map, first + p * map->position + c, from[c * stride + p]);
    } else if (map->position == 1) {
        for (int64_t c = 0; c < classes; c++)
            for (int64_t p = 0; p < n; p++) put(map, first + c * map->channel + p, from[c * stride + p]);
    } else {
        for (int64_t c = 0; c < classes; c++)
            for (int64_t p = 0; p < n; p++)
                put(map, first + c * map->channel + p * map->position, from[c * stride + p]);
    }
}

static void activate(const Problem *by, Tile *tile, float *z) {
    int64_t n = tile->size, stride = tile->stride, classes = by->classes;
    if (tile->w) /* what does not count may hold anything, NaN too */
        for (int64_t c = 0; c < classes; c++)
            for (int64_t p = 0; p < n; p++) z[c * stride + p] = tile->w[p] > 0 ? z[c * stride + p] : 0.0f;
    if (by->tau != 1.0f)
        for (int64_t c = 0; c < classes; c++)
            for (int64_t p = 0; p < n; p++) z[c * stride + p] /= by->tau;
    if (by->activation == SIGMOID)
        for (int64_t c = 0; c < classes; c++)
            for (int64_t p = 0; p < n; p++) z[c * stride + p] = 1.0f / (1.0f + exponential(-z[c * stride + p]));
    if (by->activation != SOFTMAX) return;
    float top[MOST], sum[MOST];
    memcpy(top, z, n * sizeof(float));
    memset(sum, 0, n * sizeof(float));
    for (int64_t c = 1; c < classes; c++)
        for (int64_t p = 0; p < n; p++) top[p] = z[c * stride + p] > top[p] ? z[c * stride + p] : top[p];
    for (int64_t c = 0; c < classes; c++)
        for (int64_t p = 0; p < n; p++) {
            float e = exponential(z[c * stride + p] - top[p]);
            z[c * stride + p] = e;
            sum[p] += e;
        }
    for (int64_t p = 0; p < n; p++) sum[p] = 1.0f / sum[p];
    for (int64_t c = 0; c < classes; c++)
        for (int64_t p = 0; p < n; p++) z[c * stride + p] *= sum[p];
}

static void read_tile(const Problem *by, const Map *s, const Map *t, float *weight, int64_t index, Tile *tile) {
    int64_t per_image = (by->positions + tile->stride - 1) / tile->stride;
    tile->image = index / per_image;
    tile->start = index % per_image * tile->stride;
    tile->size = by->positions - tile->start < tile->stride ? by->positions - tile->start : tile->stride;
    tile->w = weight ? weight + tile->image * by->positions + tile->start : NULL;
    load(s, tile, by->classes, tile->s);
    load(t, tile, by->classes, tile->t);
    activate(by, tile, tile->s);
    activate(by, tile, tile->t);
}

static void row_mean(const Problem *by, const Tile *tile, const float *y, float *mean) {
    int64_t n = tile->size;
    float part[MOST];
    memset(mean, 0, n * sizeof(float));
    for (int64_t first = 0; first < by->classes; first += CHUNK) {
        int64_t last = first + CHUNK < by->classes ? first + CHUNK : by->classes;
        memset(part, 0, n * sizeof(float));
        for (int64_t c = first; c < last; c++)
            for (int64_t p = 0; p < n; p++) part[p] += y[c * tile->stride + p];
        for (int64_t p = 0; p < n; p++) mean[p] += part[p];
    }
    for (int64_t p = 0; p < n; p++) mean[p] /= (float)by->classes;
}

/* Norms of the rows, centred over the classes, and their product. */
static void correlate_rows(const Problem *by, Tile *tile) {
    int64_t n = tile->size;
    float ss[MOST], tt[MOST], st[MOST];
    if (by->activation == SOFTMAX) { /* the mean over the classes is exactly 1 / C */
        for (int64_t p = 0; p < n; p++) tile->mean_s[p] = tile->mean_t[p] = 1.0f / (float)by->classes;
    } else {
        row_mean(by, tile, tile->s, tile->mean_s);
        row_mean(by, tile, tile->t, tile->mean_t);
    }
    memset(tile->norm_s, 0, n * sizeof(float));
    memset(tile->norm_t, 0, n * sizeof(float));
    memset(tile->product, 0, n * sizeof(float));
    for (int64_t first = 0; first < by->classes; first += CHUNK) {
        int64_t last = first + CHUNK < by->classes ? first + CHUNK : by->classes;
        memset(ss, 0, n * sizeof(float));
        memset(tt, 0, n * sizeof(float));
        memset(st, 0, n * sizeof(float));
        for (int64_t c = first; c < last; c++) {
            const float *s = tile->s + c * tile->stride, *t = tile->t + c * tile->stride;
            for (int64_t p = 0; p < n; p++) {
                float u = s[p] - tile->mean_s[p], v = t[p] - tile->mean_t[p];
                ss[p] += u * u;
                tt[p] += v * v;
                st[p] += u * v;
            }
        }
        for (int64_t p = 0; p < n; p++) {
            tile->norm_s[p] += ss[p];
            tile->norm_t[p] += tt[p];
            tile->product[p] += st[p];
        }
    }
    for (int64_t p = 0; p < n; p++) {
        tile->norm_s[p] = sqrtf(tile->norm_s[p]);
        tile->norm_t[p] = sqrtf(tile->norm_t[p]);
    }
}

/* Sums over positions: LANES partial sums, so that the compiler may use vectors without reordering anything. */
#define SUM_OVER_POSITIONS(total, n, term)                                    \
    do {                                                                      \
        float lane[LANES] = {0};                                              \
        int64_t p0 = 0;                                                       \
        for (; p0 + LANES <= (n); p0 += LANES)                                \
            for (int64_t l = 0; l < LANES; l++) {                             \
                int64_t p = p0 + l;                                           \
                lane[l] += (term);                                            \
            }                                                                 \
        for (int64_t p = p0; p < (n); p++) lane[p - p0] += (term);            \
        float all = 0;                                                        \
        for (int64_t l = 0; l < LANES; l++) all += lane[l];                   \
        (total) = all;                                                        \
    } while (0)

/* Adds a tile's moments to those of the tiles before it, (count, rows, 5 x C), as Chan, Golub and LeVeque do. */
static void add_tile(const Problem *by, Tile *tile, double *out) {
    int64_t n = tile->size, classes = by->classes;
    const float *w = tile->w;
    float total = (float)n;
    if (w) SUM_OVER_POSITIONS(total, n, w[p]);
    if (by->rows) {
        correlate_rows(by, tile);
        for (int64_t p = 0; p < n; p++)
            tile->spare[p] = 1.0f - tile->product[p] / (tile->norm_s[p] * tile->norm_t[p] + by->eps);
        float sum;
        if (w) SUM_OVER_POSITIONS(sum, n, w[p] * tile->spare[p]);
        else SUM_OVER_POSITIONS(sum, n, tile->spare[p]);
        out[1] += sum;
    }
    double before = out[0], count = before + total;
    out[0] = count;
    if (!by->columns || !(total > 0)) return;
    double *means = out + 2, *seconds = out + 2 + 2 * classes, blend = before * total / count;
    for (int64_t c = 0; c < classes; c++) {
        const float *s = tile->s + c * tile->stride, *t = tile->t + c * tile->stride;
        float ms, mt, ss, tt, st;
        if (w) {
            SUM_OVER_POSITIONS(ms, n, w[p] * s[p]);
            SUM_OVER_POSITIONS(mt, n, w[p] * t[p]);
        } else {
            SUM_OVER_POSITIONS(ms, n, s[p]);
            SUM_OVER_POSITIONS(mt, n, t[p]);
        }
        ms /= total;
        mt /= total;
        if (w) {
            SUM_OVER_POSITIONS(ss, n, w[p] * (s[p] - ms) * (s[p] - ms));
            SUM_OVER_POSITIONS(tt, n, w[p] * (t[p] - mt) * (t[p] - mt));
            SUM_OVER_POSITIONS(st, n, w[p] * (s[p] - ms) * (t[p] - mt));
        } else {
            SUM_OVER_POSITIONS(ss, n, (s[p] - ms) * (s[p] - ms));
            SUM_OVER_POSITIONS(tt, n, (t[p] - mt) * (t[p] - mt));
            SUM_OVER_POSITIONS(st, n, (s[p] - ms) * (t[p] - mt));
        }
        double shift_s = ms - means[c], shift_t = mt - means[classes + c];
        seconds[c] += ss + blend * shift_s * shift_s;
        seconds[classes + c] += tt + blend * shift_t * shift_t;
        seconds[2 * classes + c] += st + blend * shift_s * shift_t;
        means[c] += shift_s * total / count;
        means[classes + c] += shift_t * total / count;
    }
}

/* The scores' gradient takes the place of the student's scores. */
static void differentiate(const Problem *by, const Coefficients *with, Tile *tile) {
    int64_t n = tile->size;
    float row_s[MOST], row_t[MOST], inner[MOST], part[MOST];
    memset(inner, 0, n * sizeof(float));
    memset(row_s, 0, n * sizeof(float));
    memset(row_t, 0, n * sizeof(float));
    if (by->rows) {
        correlate_rows(by, tile);
        /* |centred| <= guard |scores|, where |scores|^2 = |centred|^2 + C mean^2 */
        float root = sqrtf((float)by->classes), still = by->still * root;
        float share = by->guard / sqrtf(fmaxf(1.0f - by->guard * by->guard, 1e-30f)) * root;
        for (int64_t p = 0; p < n; p++) {
            float norm_s = tile->norm_s[p], norm_t = tile->norm_t[p], both = norm_s * norm_t + by->eps;
            int flat = by->guard > 0 && norm_s <= share * fabsf(tile->mean_s[p]);
            flat |= norm_t <= still * fabsf(tile->mean_t[p]);
            float rt = -with->row / both, rs = -rt * tile->product[p] / both * norm_t / (norm_s > TINY ? norm_s : TINY);
            row_s[p] = flat ? 0.0f : rs;
            row_t[p] = flat ? 0.0f : rt;
        }
    } else {
        memset(tile->mean_s, 0, n * sizeof(float));
        memset(tile->mean_t, 0, n * sizeof(float));
    }
    for (int64_t first = 0; first < by->classes; first += CHUNK) {
        int64_t last = first + CHUNK < by->classes ? first + CHUNK : by->classes;
        memset(part, 0, n * sizeof(float));
        for (int64_t c = first; c < last; c++) {
            float *s = tile->s + c * tile->stride, *g = tile->t + c * tile->stride;
            float col_s = with->col_s[c], col_t = with->col_t[c], mean_s = with->mean_s[c], mean_t = with->mean_t[c];
            for (int64_t p = 0; p < n; p++) {
                float rows = row_s[p] * (s[p] - tile->mean_s[p]) + row_t[p] * (g[p] - tile->mean_t[p]);
                g[p] = rows + (col_s * (s[p] - mean_s) + col_t * (g[p] - mean_t));
                part[p] += s[p] * g[p];
            }
        }
        for (int64_t p = 0; p < n; p++) inner[p] += part[p];
    }
    if (by->activation == SOFTMAX) { /* once more, from the mean: where one class has it all, g - inner is all rounding */
        memset(part, 0, n * sizeof(float));
        for (int64_t c = 0; c < by->classes; c++) {
            const float *s = tile->s + c * tile->stride;
            float *g = tile->t + c * tile->stride;
            for (int64_t p = 0; p < n; p++) {
                g[p] -= inner[p];
                part[p] += s[p] * g[p];
            }
        }
        memcpy(inner, part, n * sizeof(float));
    }
    for (int64_t p = 0; p < n; p++) tile->spare[p] = tile->w ? tile->w[p] : 1.0f;
    for (int64_t c = 0; c < by->classes; c++) {
        float *s = tile->s + c * tile->stride;
        const float *g = tile->t + c * tile->stride;
        if (by->activation == SOFTMAX)
            for (int64_t p = 0; p < n; p++) s[p] = tile->spare[p] * (s[p] * (g[p] - inner[p]));
        else if (by->activation == SIGMOID)
            for (int64_t p = 0; p < n; p++) s[p] = tile->spare[p] * (g[p] * (s[p] * (1.0f - s[p])));
        else
            for (int64_t p = 0; p < n; p++) s[p] = tile->spare[p] * g[p];
    }
}

static Tile *make_tile(const Problem *by) { /* one piece of memory: the tile, then its scores */
    size_t own = (sizeof(Tile) + 63) / 64 * 64, scores = tile_size(by) * by->classes;
    Tile *tile = aligned_alloc(64, own + 2 * scores * sizeof(float));
    if (!tile) return NULL;
    tile->stride = tile_size(by);
    tile->s = (float *)((char *)tile + own);
    tile->t = tile->s + scores;
    return tile;
}

static int64_t count_tiles(const Problem *by) {
    return by->images * ((by->positions + tile_size(by) - 1) / tile_size(by));
}

/* First pass; `out` is (threads, 2 + 5 C), zero. Returns 0, or 1 where memory ran out. */
int relation_moments(const Problem *by, const Map *s, const Map *t, float *weight, double *out) {
    int64_t tiles = count_tiles(by);
    int failed = 0;
#pragma omp parallel num_threads((int)by->threads) if (by->threads > 1)
    {
        int thread = 0;
#ifdef _OPENMP
        thread = omp_get_thread_num();
#endif
        Tile *tile = make_tile(by);
        if (!tile)
#pragma omp atomic write
            failed = 1;
#pragma omp for schedule(static)
        for (int64_t i = 0; i < tiles; i++) {
            if (!tile) continue;
            read_tile(by, s, t, weight, i, tile);
            add_tile(by, tile, out + thread * (2 + 5 * by->classes));
        }
        free(tile);
    }
    return failed;
}

/* Second pass; writes the gradient by the student's scores. Returns 0, or 1 where memory ran out. */
int relation_gradient(
    const Problem *by, const Coefficients *with, const Map *s, const Map *t, float *weight, const Map *into) {
    int64_t tiles = count_tiles(by);
    int failed = 0;
#pragma omp parallel num_threads((int)by->threads) if (by->threads > 1)
    {
        Tile *tile = make_tile(by);
        if (!tile)
#pragma omp atomic write
            failed = 1;
#pragma omp for schedule(static)
        for (int64_t i = 0; i < tiles; i++) {
            if (!tile) continue;
            read_tile(by, s, t, weight, i, tile);
            differentiate(by, with, tile);
            store(into, tile, by->classes, tile->s);
        }
        free(tile);
    }
    return failed;
}
