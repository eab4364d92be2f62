// Compiled to see that it is refused: a mistake that shows when a kernel is made of its template.
template <class T> __global__ void kernel(T* out) { *out = T::none; }

void launch(int* out) { kernel<<<1, 1>>>(out); }
