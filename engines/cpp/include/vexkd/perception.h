/* The runtime: a bundle, opened once, looks at frames. C ABI; vexkd/perception.hpp is its C++17 face.
 *
 *   vexkd_perception_options options;
 *   vexkd_perception_default_options(&options, sizeof options);
 *   vexkd_perception* model;
 *   if (vexkd_perception_open("student.vexkd", &options, &model) != VEXKD_OK) puts(vexkd_last_message());
 *   vexkd_perception_update_calibration(model, &calibration);
 *   vexkd_perception_detect(model, &frame, &detections);
 *
 * - All functions return a status and never throw, abort or print. Where it is not VEXKD_OK, vexkd_last_message() says
 *   what came, what was expected and what to do, and nothing was written but what a function's text says.
 * - A handle serves one thread at a time; another thread's call meanwhile is refused with VEXKD_BUSY and harms nothing.
 *   Different handles, of the same bundle too, are independent: one per thread.
 * - A bundle is read whole when it is opened. What happens to its files later does not reach an open handle; to change
 * a model while driving, open the new one beside it and swap the pointers.
 * - After vexkd_perception_open nothing is allocated by this library on the CPU, and the only wait is that for the
 *   result. Structs that hold `struct_size` must have it set to their sizeof: what is checked is what was compiled.
 * - Frames, boxes and grids: see types.h. Images are RGB, as the cameras give them.
 */
#ifndef VEXKD_PERCEPTION_H
#define VEXKD_PERCEPTION_H

#include "vexkd/accumulate_sweeps.h"
#include "vexkd/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Statuses of the runtime, beside those of types.h. */
enum {
  VEXKD_NO_BUNDLE = 20,      /**< no bundle at that path, or a file of it cannot be read */
  VEXKD_DAMAGED = 21,        /**< the manifest is none, or a file is missing or not the one that was written */
  VEXKD_INCOMPATIBLE = 22,   /**< another schema, or made for another GPU, TensorRT or library */
  VEXKD_NO_BACKEND = 23,     /**< the backend is not in this build, or its library is not on this machine */
  VEXKD_BACKEND_FAILED = 24, /**< the backend refused the model or failed to run it; the message is its own */
  VEXKD_NOT_CALIBRATED = 25, /**< a model with cameras was asked before vexkd_perception_update_calibration */
  VEXKD_WRONG_TASK = 26,     /**< detect on a segmentation bundle, or segment on a detection bundle */
  VEXKD_BAD_FRAME = 27,      /**< sensor data or calibration that is not what the bundle was exported for */
  VEXKD_BUSY = 28            /**< another thread is using the handle */
};

typedef int32_t vexkd_backend;
enum {
  VEXKD_BACKEND_AUTO = 0, /**< TensorRT, ONNX Runtime's CUDA, its CPU: the first that can run here */
  VEXKD_BACKEND_ONNXRUNTIME_CPU = 1,
  VEXKD_BACKEND_ONNXRUNTIME_CUDA = 2,
  VEXKD_BACKEND_TENSORRT = 3 /**< the bundle's engine for this GPU, of either flavour */
};

typedef int32_t vexkd_task;
enum { VEXKD_DETECTION = 0, VEXKD_SEGMENTATION = 1 };

typedef int32_t vexkd_memory;
enum { VEXKD_HOST = 0, VEXKD_DEVICE = 1 /**< CUDA memory of the handle's device; backends on the CPU refuse it */ };

/** How a bundle is opened. Fill it by vexkd_perception_default_options, then change what matters. */
typedef struct vexkd_perception_options {
  size_t struct_size;
  vexkd_backend backend;   /**< default: AUTO */
  int32_t threads;         /**< of work on the CPU; 0, the default: all this process may use */
  int32_t device;          /**< CUDA device, default 0 */
  int32_t warm_up;         /**< runs on zeros before open returns, default 1; 0 makes the first frame slow */
  int32_t cuda_graph;      /**< 1: capture TensorRT's run once and replay it; default 0 */
  float score_threshold;   /**< boxes under it are left out; NaN, the default: the bundle's own */
  const char* onnxruntime; /**< path of libonnxruntime.so; null, the default: see vexkd_find_onnxruntime */
  const char* tensorrt;    /**< path of libnvinfer.so or libtensorrt_rtx.so; null: by name, as the loader finds it */
} vexkd_perception_options;

VEXKD_API vexkd_status vexkd_perception_default_options(vexkd_perception_options* options, size_t struct_size);

/** A model that is ready to run. */
typedef struct vexkd_perception vexkd_perception;

/** Verify the bundle (manifest, schema, SHA-256 of every file), load its model into a backend, reserve all memory, and
 * warm up. `options` null means the defaults. `opened` is null where it fails. Takes some 0.1 to 10 s. */
VEXKD_API vexkd_status vexkd_perception_open(const char* bundle, const vexkd_perception_options* options,
                                             vexkd_perception** opened);

/** Free it; null is allowed. No other thread may be using it. */
VEXKD_API void vexkd_perception_close(vexkd_perception* model);

/** Verify a bundle without loading its model; the statuses and messages are those of vexkd_perception_open. */
VEXKD_API vexkd_status vexkd_verify_bundle(const char* bundle);

/** What this thread's last call said that was not VEXKD_OK; "" if there was none. Valid until its next failure. */
VEXKD_API const char* vexkd_last_message(void);

/** The libonnxruntime.so that is taken where the options name none: that of the environment variable VEXKD_ONNXRUNTIME
 * (a file or its folder), else one that the process has loaded, else what the loader finds by name, else that of the
 * Python environment this library is installed in or that VIRTUAL_ENV names. Null and a message if it is nowhere. Valid
 * until this thread's next call. */
VEXKD_API const char* vexkd_find_onnxruntime(void);

/** What a bundle is, and what runs it. All pointers are valid until the handle is closed. */
typedef struct vexkd_perception_info {
  size_t struct_size;
  vexkd_task task;
  int32_t views;              /**< cameras, 0 for a model without */
  const char* const* cameras; /**< (views) their names: the order of images and calibration */
  int32_t image_height;       /**< of the images as the cameras give them, pixels */
  int32_t image_width;
  int32_t point_capacity; /**< most points of a frame, 0 for a model without LiDAR */
  int32_t sweeps;         /**< sweeps before the keyframe that the model was trained to see */
  float own_vehicle;      /**< half side in metres of the square of points that training removed */
  int32_t classes;
  const char* const* class_names; /**< (classes) of labels, or of map channels */
  int32_t max_boxes;              /**< most boxes of a frame, 0 for segmentation */
  int32_t map_height, map_width;  /**< of segmentation's logits, 0 for detection */
  float score_threshold;          /**< that is in use */
  vexkd_grid grid;                /**< of the model's bird's-eye view */
  const char* name;               /**< the bundle folder's, without .vexkd */
  const char* precision;          /**< "fp32" or "fp16" */
  const char* backend;            /**< what runs it and its version, as one line */
  vexkd_backend backend_kind;     /**< never AUTO */
} vexkd_perception_info;

VEXKD_API vexkd_status vexkd_perception_describe(const vexkd_perception* model, vexkd_perception_info* info);

/** Calibration of the cameras for the frames that follow, in the order of the info's `cameras`. */
typedef struct vexkd_calibration {
  size_t struct_size;
  int32_t views;
  const double* intrinsics;    /**< (views, 3, 3) row-major, for the pixels of the raw images */
  const double* camera_to_ego; /**< (views, 4, 4) row-major, rigid: the camera at its own time to ego at the LiDAR's */
} vexkd_calibration;

/** Copy the calibration in. May be called before every frame (a moving ego changes it); unchanged values cost a
 * comparison. Values that are not finite, a singular matrix or a
 * pose that is not rigid: VEXKD_BAD_FRAME, and the calibration before it stays. */
VEXKD_API vexkd_status vexkd_perception_update_calibration(vexkd_perception* model,
                                                           const vexkd_calibration* calibration);

/** Sensor data of one moment. A model without cameras reads no images, one without LiDAR no points. */
typedef struct vexkd_frame {
  size_t struct_size;
  /** Images (views, image_height, image_width, 3) u8 in one block, or null ... */
  const uint8_t* image_block;
  /** ... and then (views) pointers to one (image_height, image_width, 3) u8 each, host memory; they are copied. */
  const uint8_t* const* images;
  /** Points (point_count, 5) f32 in ego: x, y, z in metres, intensity 0..1, age in seconds; own vehicle removed.
   * Used where sweep_count is 0. No point at all is a frame like any other. In device memory there must be room for
   * point_capacity points, of which those from point_count on are not looked at. */
  const float* points;
  int32_t point_count;
  /** Else the sweeps as the sensor gave them, the keyframe's own first; host memory. */
  int32_t sweep_count;
  const vexkd_sweep* sweeps;
  vexkd_memory image_memory; /**< of image_block */
  vexkd_memory point_memory; /**< of points */
} vexkd_frame;

/** Seconds that each stage of a call took; `total` is the whole call. */
typedef struct vexkd_times {
  double points;      /**< accumulation of sweeps, or padding */
  double images;      /**< check, and copy where they are copied */
  double calibration; /**< rays to the model, which sorts its frustum's points by them */
  double engine;      /**< the backend, with copies to and from its device */
  double selection;   /**< score threshold and suppression, or the copy of logits */
  double total;
} vexkd_times;

typedef struct vexkd_box {
  float x, y, z;               /**< centre, metres, ego */
  float length, width, height; /**< metres */
  float yaw;                   /**< radians counter-clockwise from +x */
  float vx, vy;                /**< metres per second */
  float score;                 /**< 0..1 */
  int32_t label;               /**< into class_names */
} vexkd_box;

/** Boxes of a frame. The caller sets struct_size, boxes and capacity; the rest is the answer. */
typedef struct vexkd_detections {
  size_t struct_size;
  vexkd_box* boxes; /**< (capacity), best first */
  int32_t capacity; /**< max_boxes of the info is always enough */
  int32_t count;
  int32_t dropped_boxes;  /**< that did not fit into capacity; the weakest */
  int32_t dropped_points; /**< that did not fit into point_capacity; the last of the cloud */
  vexkd_times times;
} vexkd_detections;

/** Look at a frame with a detection bundle. */
VEXKD_API vexkd_status vexkd_perception_detect(vexkd_perception* model, const vexkd_frame* frame,
                                               vexkd_detections* detections);

/** Map of a frame. The caller sets struct_size, logits and capacity; the rest is the answer. */
typedef struct vexkd_map {
  size_t struct_size;
  float* logits;   /**< (classes, map_height, map_width): rows along y, columns along x; sigmoid gives probability */
  size_t capacity; /**< floats at `logits`; fewer than the map has are refused with VEXKD_INVALID_ARGUMENT */
  int32_t dropped_points;
  vexkd_times times;
} vexkd_map;

/** Look at a frame with a segmentation bundle. */
VEXKD_API vexkd_status vexkd_perception_segment(vexkd_perception* model, const vexkd_frame* frame, vexkd_map* map);

#ifdef __cplusplus
}
#endif

#endif
