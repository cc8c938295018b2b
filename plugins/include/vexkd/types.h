/* Conventions that every kernel shares; the one place in C that owns them (in Python: vexkd/geometry.py).
 *
 * Frame: ego at the LiDAR timestamp, x forward, y left, z up, metres.
 * BEV arrays: (C, H, W), H along y, W along x; cell = iy * W + ix. In a batch, sample b owns the cells from b * H * W.
 * Cell arithmetic: binary32, in this order, each step correctly rounded, no fused multiply-add, no reciprocal:
 *   ix = floor((x - x_min) / cell_x), in range if 0 <= ix < width (compared as floats); iy likewise;
 *   z is in range if z_min <= z < z_max.
 * Pose: a (4, 4) f64 matrix, row-major, of a rigid motion in metres, column vectors. Each entry point that takes one
 *   wants it finite, its last row (0, 0, 0, 1) to 1e-3, and the lengths and angles of its upper left (3, 3) those of a
 *   rotation to 1e-3. Reflections and one scale for all axes pass: augmentation mirrors and scales the scene.
 *
 * Rules of all entry points:
 * - They return a status and never throw, abort or print. An output is written only when the status is VEXKD_OK;
 *   every element of it is then written, those of empty cells too.
 * - Arrays are dense, row-major, owned by the caller and aligned to their element. Outputs overlap neither an input,
 *   another output nor the workspace (VEXKD_OVERLAP). An array without elements may be null.
 * - Results are the same bits on every run, for any number of threads, on any stream.
 * - A workspace is scratch memory: no content is kept between calls, and calls that may run at the same time need one
 *   each. Its size comes from the query beside the operator; a query's answer never shrinks when a size grows.
 * - *_cpu: `threads` 0 means all cores this process may run on. The workspace is aligned to VEXKD_CPU_ALIGNMENT, or
 *   null with size 0, and then the call allocates and frees it. Safe to call from several threads at once.
 * - *_cuda: all arrays lie in device memory but where a function says otherwise, only `stream` (a cudaStream_t) is
 *   used, nothing is allocated or synchronised, and the call can be captured in a CUDA graph. The workspace is aligned
 *   to VEXKD_CUDA_ALIGNMENT and may be null only if the query says 0. In a library built without CUDA these return
 *   VEXKD_UNSUPPORTED; the workspace queries answer there too (an engine's workspace is fixed where it is built),
 *   except that of frustum_index, which asks the current device.
 *   Values in device memory (counts, cells, starts, points) cannot be reported: they are made harmless as each
 *   operator documents, which the CPU does alike.
 */
#ifndef VEXKD_TYPES_H
#define VEXKD_TYPES_H

#include <stddef.h>
#include <stdint.h>

#define VEXKD_API __attribute__((visibility("default")))

/** Raised with every incompatible change of a signature, a struct or a value's meaning; the library's SOVERSION. */
#define VEXKD_ABI_VERSION 3

#if defined(VEXKD_SOVERSION) && VEXKD_SOVERSION != VEXKD_ABI_VERSION
#error "CMakeLists.txt has another ABI version"
#endif

#define VEXKD_CPU_ALIGNMENT 64
#define VEXKD_CUDA_ALIGNMENT 256

#define VEXKD_POINT_SIZE 5
#define VEXKD_POINT_FEATURES 11

#ifdef __cplusplus
extern "C" {
#endif

typedef int32_t vexkd_status;
enum {
  VEXKD_OK = 0,
  VEXKD_NULL_POINTER = 1,
  VEXKD_INVALID_ARGUMENT = 2, /**< a negative or inconsistent size, a grid that is none, an unknown dtype */
  VEXKD_TOO_LARGE = 3,        /**< an index would not fit in int32, or a size in bytes not in the address space */
  VEXKD_MISALIGNED = 4,
  VEXKD_OVERLAP = 5,
  VEXKD_WORKSPACE_TOO_SMALL = 6,
  VEXKD_OUT_OF_MEMORY = 7,
  VEXKD_UNSUPPORTED = 8, /**< the library was built without CUDA */
  VEXKD_CUDA_ERROR = 9   /**< CUDA refused a call: see vexkd_last_cuda_error */
};

typedef int32_t vexkd_dtype;
enum {
  VEXKD_F32 = 0,
  VEXKD_F16 = 1 /**< IEEE 754 binary16; sums and comparisons are done in binary32 */
};

/** A bird's-eye-view grid. Metres, except height and width (cells).
 *
 * Valid: all finite; min < max; height == round((y_max - y_min) / cell_y) and width likewise, both >= 1, which
 * vexkd_make_grid ensures; cell sides and z extent from 2^-20 to 2^20 m.
 */
typedef struct vexkd_grid {
  float x_min, y_min, z_min;
  float x_max, y_max, z_max;
  float cell_x, cell_y;
  int32_t height; /**< cells along y */
  int32_t width;  /**< cells along x */
} vexkd_grid;

/** Fill `grid` from (x_min, y_min, z_min, x_max, y_max, z_max) and (cell_x, cell_y), all in metres.
 * VEXKD_INVALID_ARGUMENT for what is no valid grid, VEXKD_TOO_LARGE from 2^31 cells on. */
VEXKD_API vexkd_status vexkd_make_grid(const float* range, const float* cell, vexkd_grid* grid);

/** VEXKD_ABI_VERSION of the library. */
VEXKD_API int32_t vexkd_abi_version(void);

/** Version of VeXKD that the library belongs to, "0.1.0". */
VEXKD_API const char* vexkd_version(void);

/** One line about the build: version, compiler, CUDA, TensorRT headers. */
VEXKD_API const char* vexkd_build_info(void);

/** GPU code in the library, as "8.0 8.6 8.9 7.5+": compute capabilities with machine code, and with a plus those whose
 * PTX is there for every later one. "" without CUDA. */
VEXKD_API const char* vexkd_cuda_architectures(void);

/** sizeof of a struct of these headers by its name ("vexkd_grid"), 0 for an unknown one: what a caller that declares
 * the structs itself checks before it passes one. */
VEXKD_API size_t vexkd_struct_size(const char* name);

/** The CUDA error of this thread's last VEXKD_CUDA_ERROR as a cudaError_t, 0 if there was none; `name`, unless null,
 * gets its name in static storage. */
VEXKD_API int32_t vexkd_last_cuda_error(const char** name);

/** One line of English for a status; for an unknown one too. Static storage. */
VEXKD_API const char* vexkd_status_string(vexkd_status status);

/** 1 if the *_cuda entry points were compiled in, else 0. Says nothing about a GPU being there. */
VEXKD_API int32_t vexkd_has_cuda(void);

#ifdef __cplusplus
}
#endif

#endif
