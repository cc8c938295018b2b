#include "jpeg.hpp"

#ifdef WITH_JPEG
#include <csetjmp>
#include <cstdio>
// After cstdio: jpeglib.h wants FILE.
#include <jpeglib.h>

namespace {

// libjpeg ends the process on an error unless it is led elsewhere.
struct ErrorExit {
  jpeg_error_mgr manager;
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
};

void leave(j_common_ptr decoder) {
  ErrorExit* const exit = reinterpret_cast<ErrorExit*>(decoder->err);
  exit->manager.format_message(decoder, exit->message);
  std::longjmp(exit->jump, 1);
}

// Nothing here has a destructor: longjmp runs none.
bool decode(std::FILE* file, ErrorExit& exit, Image& image) {
  jpeg_decompress_struct decoder;
  decoder.err = jpeg_std_error(&exit.manager);
  exit.manager.error_exit = leave;
  exit.manager.output_message = [](j_common_ptr) {};  // warnings are counted, not printed
  jpeg_create_decompress(&decoder);
  if (setjmp(exit.jump) != 0) {
    jpeg_destroy_decompress(&decoder);
    return false;
  }
  jpeg_stdio_src(&decoder, file);
  jpeg_read_header(&decoder, TRUE);
  decoder.out_color_space = JCS_RGB;
  jpeg_start_decompress(&decoder);
  image.height = static_cast<int>(decoder.output_height);
  image.width = static_cast<int>(decoder.output_width);
  const size_t row_bytes = size_t{3} * decoder.output_width;
  image.pixels.resize(row_bytes * decoder.output_height);
  while (decoder.output_scanline < decoder.output_height) {
    JSAMPROW row = image.pixels.data() + row_bytes * decoder.output_scanline;
    jpeg_read_scanlines(&decoder, &row, 1);
  }
  jpeg_finish_decompress(&decoder);
  jpeg_destroy_decompress(&decoder);
  return true;
}

}  // namespace

bool has_jpeg() { return true; }

std::string read_jpeg(const std::string& path, Image& image) {
  std::FILE* const file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return path + " cannot be read";
  ErrorExit exit{};
  const bool whole = decode(file, exit, image);
  const bool warned = exit.manager.num_warnings > 0;
  std::fclose(file);
  if (!whole) return path + " cannot be decoded: " + exit.message;
  return warned ? path + " is truncated or damaged" : "";
}

#else

bool has_jpeg() { return false; }

std::string read_jpeg(const std::string& path, Image&) { return path + " cannot be decoded: built without libjpeg"; }

#endif
