// A view of memory that someone else owns: what std::span is from C++20 on.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

namespace vexkd {

template <typename T>
class Span {
  template <typename Container>
  using Data = decltype(std::declval<Container&>().data());
  template <typename Container>
  using Size = decltype(std::declval<Container&>().size());

  // T* from `From*` without a change of type but const, as a view of Derived[] must not become one of Base[].
  template <typename From>
  static constexpr bool kViews = std::is_convertible_v<std::remove_pointer_t<From> (*)[], T (*)[]>;

  // An owner hands its constness down to its elements, a view does not; a temporary owner would leave us dangling.
  template <typename Container>
  static constexpr bool kOutlives =
      std::is_lvalue_reference_v<Container> ||
      std::is_same_v<Data<std::remove_reference_t<Container>>, Data<const std::remove_reference_t<Container>>>;

 public:
  constexpr Span() noexcept = default;
  constexpr Span(T* data, size_t size) noexcept : data_(data), size_(size) {}
  template <size_t N>
  constexpr Span(T (&array)[N]) noexcept : data_(array), size_(N) {}
  /** Of a std::vector, std::array, std::span, or whatever has data() and size(); not of a temporary that owns. */
  template <typename Container, typename = Size<std::remove_reference_t<Container>>,
            typename = std::enable_if_t<kViews<Data<std::remove_reference_t<Container>>> && kOutlives<Container>>>
  constexpr Span(Container&& container) noexcept : data_(container.data()), size_(container.size()) {}

  constexpr T* data() const noexcept { return data_; }
  constexpr size_t size() const noexcept { return size_; }
  constexpr bool empty() const noexcept { return size_ == 0; }
  constexpr T& operator[](size_t index) const noexcept { return data_[index]; }
  constexpr T* begin() const noexcept { return data_; }
  constexpr T* end() const noexcept { return data_ + size_; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace vexkd
