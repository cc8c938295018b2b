// Messages of the plugins: to TensorRT's own logger where its layout is known, else to stderr.
#pragma once

namespace vexkd {

/// Remember the finder that TensorRT hands to setLoggerFinder; null forgets it.
void set_logger_finder(void* finder) noexcept;

/// True if the finder is one of TensorRT-RTX, whose builder chooses among formats otherwise than TensorRT's.
bool is_tensorrt_rtx() noexcept;

/// Report an error in printf's manner; the line starts with "vexkd: ". Never throws.
[[gnu::format(printf, 1, 2)]] void log_error(char const* format, ...) noexcept;

}  // namespace vexkd
