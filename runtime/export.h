// Visibility of the C entry points. Everything else in the library is hidden.
#pragma once

#define PITH_EXPORT extern "C" __attribute__((visibility("default")))
