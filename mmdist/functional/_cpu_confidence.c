/* The probability of the ground-truth class at label size, for the CPU: see _confidence.py, which computes the same.
 *
 * A tile is some columns of one row of labels, all classes, in scratch memory that stays in the cache.
 */
#include "_cpu_exponential.h"

#include <stdlib.h>
#include <string.h>

enum { LANES = 16, MOST = 256 }; /* positions a vector step and a tile */
enum { DONE, OUT_OF_MEMORY, NO_CLASS };

typedef struct { /* row or column i of the labels lies between two of the logits', `share` of the way; NULL: as it is */
    const int64_t *before, *after;
    const float *share;
} Places;

typedef struct {
    int64_t images, classes, height, width, ignore, threads;
    int64_t image, channel, row, column; /* strides of the logits, in elements */
    const float *logits;
    const int64_t *label; /* (images, height, width) */
    float *out;           /* likewise */
    Places rows, columns;
} Request;

/* One class of one tile. Between sizes, two rows of logits become one, and its columns those of the labels. */
static void read(const Request *of, const float *plane, int64_t row, int64_t start, int64_t n, float *line, float *z) {
    int64_t step = of->column;
    if (!of->rows.before) {
        const float *a = plane + row * of->row + start * step;
        if (step == 1) memcpy(z, a, n * sizeof(float));
        else
            for (int64_t p = 0; p < n; p++) z[p] = a[p * step];
        return;
    }
    const float *a = plane + of->rows.before[row] * of->row, *b = plane + of->rows.after[row] * of->row;
    const int64_t *before = of->columns.before + start, *after = of->columns.after + start;
    int64_t first = before[0], last = after[n - 1];
    float share = of->rows.share[row];
    for (int64_t p = first; p <= last; p++) line[p - first] = a[p * step] + share * (b[p * step] - a[p * step]);
    for (int64_t p = 0; p < n; p++) {
        float left = line[before[p] - first];
        z[p] = left + of->columns.share[start + p] * (line[after[p] - first] - left);
    }
}

static int probabilities(
    const Request *of, int64_t image, int64_t row, int64_t start, int64_t n, int64_t stride, float *line, float *z) {
    float top[MOST], sum[MOST], own[MOST];
    int64_t at = (image * of->height + row) * of->width + start;
    const int64_t *label = of->label + at;
    for (int64_t c = 0; c < of->classes; c++)
        read(of, of->logits + image * of->image + c * of->channel, row, start, n, line, z + c * stride);
    memcpy(top, z, n * sizeof(float));
    memset(sum, 0, n * sizeof(float));
    for (int64_t c = 1; c < of->classes; c++)
        for (int64_t p = 0; p < n; p++) top[p] = z[c * stride + p] > top[p] ? z[c * stride + p] : top[p];
    for (int64_t c = 0; c < of->classes; c++)
        for (int64_t p = 0; p < n; p++) sum[p] += exponential(z[c * stride + p] - top[p]);
    int wrong = 0;
    for (int64_t p = 0; p < n; p++) { /* of an ignored position: of any class */
        int64_t y = label[p] == of->ignore ? 0 : label[p];
        wrong |= y < 0 || y >= of->classes;
        own[p] = z[(y < 0 || y >= of->classes ? 0 : y) * stride + p];
    }
    for (int64_t p = 0; p < n; p++) {
        float found = exponential(own[p] - top[p]) / sum[p];
        of->out[at + p] = label[p] == of->ignore ? 1.0f : found;
    }
    return wrong;
}

/* Returns DONE, OUT_OF_MEMORY, or NO_CLASS where a label is neither a class nor to be ignored. */
int label_probability(const Request *of) {
    int64_t stride = 16384 / of->classes / LANES * LANES; /* a tile's scores stay in 64 KiB */
    stride = stride < LANES ? LANES : stride > MOST ? MOST : stride;
    int64_t per_row = (of->width + stride - 1) / stride, tiles = of->images * of->height * per_row;
    int state = DONE;
#pragma omp parallel num_threads((int)of->threads) if (of->threads > 1)
    {
        float *z = aligned_alloc(64, (of->classes + 1) * stride * sizeof(float));
        int64_t span = of->rows.before ? of->columns.after[of->width - 1] + 1 : 1;
        float *line = malloc(span * sizeof(float));
#pragma omp for schedule(static)
        for (int64_t i = 0; i < tiles; i++) {
            int64_t line_of_labels = i / per_row, start = i % per_row * stride;
            int64_t n = of->width - start < stride ? of->width - start : stride;
            int found = OUT_OF_MEMORY;
            if (z && line)
                found = probabilities(
                            of, line_of_labels / of->height, line_of_labels % of->height, start, n, stride, line, z)
                            ? NO_CLASS : DONE;
            if (found)
#pragma omp atomic write
                state = found;
        }
        free(z);
        free(line);
    }
    return state;
}
