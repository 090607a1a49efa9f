# Read inside llama.cpp's project: llama-cpp-python orders its library `common`, which nothing installed here links to.
set(LLAMA_BUILD_COMMON OFF)
