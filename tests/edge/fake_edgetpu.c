/* A delegate library for the tests: what libedgetpu is to the runtime, without the chip.

   It takes the whole graph and shows it by inverting the picture (255 - pixel). Of a video network it remembers the mean
   of the noisy picture and the history, rounded down. Which devices are plugged in is told by
   files in the folder that FAKE_EDGETPU names: `usb0`, `pci1`. A device whose file is gone fails, at its start and in
   mid-run; one whose file begins with `h` hangs until it does not. What it was asked for is appended to `log`.

   Each entry point misbehaves as a file of the name `at_create`, `at_prepare`, `at_init`, `at_invoke`, `at_free` or
   `at_destroy` says: `h` hangs until the file says something else, `1.5` takes that many seconds, `0 f` fails (where
   there is no way to fail, by ending the process), `0 a` says something and ends the process.

   The declarations are those of TensorFlow Lite's C interface (`common.h`), as far as they are needed: the front of each
   structure, in its order. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct { int size; int data[]; } IntArray;
typedef struct { float scale; int32_t zero_point; } QuantizationParams;
typedef struct { int type; void* params; } Quantization;

typedef struct {
  int type;
  void* data;
  IntArray* dims;
  QuantizationParams params;
  int allocation_type;
  size_t bytes;
  const void* allocation;
  const char* name;
  void* delegate;
  int buffer_handle;
  bool data_is_stale, is_variable;
  Quantization quantization;
  void* sparsity;
  const IntArray* dims_signature;
} Tensor;

typedef struct { IntArray *inputs, *outputs, *intermediates, *temporaries; void* user_data; } Node;

struct Context;
struct Delegate;

typedef struct {
  void* (*init)(struct Context*, const char*, size_t);
  void (*free)(struct Context*, void*);
  int (*prepare)(struct Context*, Node*);
  int (*invoke)(struct Context*, Node*);
  const char* (*profiling_string)(const struct Context*, const Node*);
  int32_t builtin_code;
  const char* custom_name;
  int version;
  void* later[8]; /* fields of newer versions: none */
} Registration;

typedef struct Context {
  size_t tensors_size;
  int (*GetExecutionPlan)(struct Context*, IntArray**);
  Tensor* tensors;
  void* impl;
  void* ResizeTensor;
  void (*ReportError)(struct Context*, const char*, ...);
  void* AddTensors;
  void* GetNodeAndRegistration;
  int (*ReplaceNodes)(struct Context*, Registration, const IntArray*, struct Delegate*);
} Context;

typedef struct Delegate {
  void* data;
  int (*Prepare)(Context*, struct Delegate*);
  void *CopyFromBufferHandle, *CopyToBufferHandle, *FreeBufferHandle;
  int64_t flags;
  void* opaque_delegate_builder;
} Delegate;

typedef struct { Delegate* delegate; IntArray *nodes, *inputs, *outputs; } DelegateParams;

enum { OK = 0, FAILED = 1 };

/* The first letter of the device's file; 0 where there is none. */
static int plugged(const char* device) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", getenv("FAKE_EDGETPU"), device);
  FILE* file = fopen(path, "r");
  if (!file) return 0;
  int letter = fgetc(file);
  fclose(file);
  return letter == EOF ? ' ' : letter;
}

static void note(const char* what, const char* value) {
  char path[1024];
  snprintf(path, sizeof path, "%s/log", getenv("FAKE_EDGETPU"));
  FILE* file = fopen(path, "a");
  if (!file) return;
  fprintf(file, "%s=%s\n", what, value);
  fclose(file);
}

/* Does what the file of an entry point says; whether that is to fail. */
static bool misbehave(const char* where) {
  char name[32], text[32];
  double seconds = 0;
  char then = 0;
  snprintf(name, sizeof name, "at_%s", where);
  bool noted = false;
  while (plugged(name) == 'h') {
    if (!noted) note("hangs", where);
    noted = true;
    usleep(2000);
  }
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", getenv("FAKE_EDGETPU"), name);
  FILE* file = fopen(path, "r");
  if (!file) return false;
  if (fgets(text, sizeof text, file)) sscanf(text, "%lf %c", &seconds, &then);
  fclose(file);
  if (seconds > 0 || then) note("misbehaves", where);
  usleep((useconds_t)(seconds * 1e6));
  if (then == 'a') {
    fprintf(stderr, "F0000 fake_edgetpu: check failed at %s\n", where);
    abort();
  }
  return then == 'f';
}

typedef struct { char device[16]; int input, output, past, memory; } Kernel;

static bool is_history(const Context* context, int tensor) {
  const char* name = context->tensors[tensor].name;
  return name && !strcmp(name, "history");
}

static void* kernel_init(Context* context, const char* buffer, size_t length) {
  (void)length;
  if (misbehave("init")) return (void*)-1; /* TfLiteKernelInitFailed */
  const DelegateParams* params = (const DelegateParams*)buffer;
  Kernel* kernel = calloc(1, sizeof *kernel);
  strcpy(kernel->device, params->delegate->data);
  kernel->input = kernel->output = kernel->past = kernel->memory = -1;
  for (int i = 0; i < params->outputs->size; i++) {
    const int tensor = params->outputs->data[i];
    *(is_history(context, tensor) ? &kernel->memory : &kernel->output) = tensor;
  }
  for (int i = 0; i < params->inputs->size; i++) { /* constants are among the inputs, too */
    const int tensor = params->inputs->data[i];
    if (context->tensors[tensor].bytes != context->tensors[kernel->output].bytes) continue;
    int* place = is_history(context, tensor) ? &kernel->past : &kernel->input;
    if (*place < 0) *place = tensor;
  }
  return kernel;
}

static void kernel_free(Context* context, void* kernel) {
  (void)context;
  if (misbehave("free")) abort();
  free(kernel);
}

static int kernel_invoke(Context* context, Node* node) {
  const Kernel* kernel = node->user_data;
  int letter;
  if (misbehave("invoke")) {
    context->ReportError(context, "the device %s is out of order\n", kernel->device);
    return FAILED;
  }
  while ((letter = plugged(kernel->device)) == 'h') usleep(2000);
  if (!letter) {
    context->ReportError(context, "the device %s went away\n", kernel->device);
    return FAILED;
  }
  const Tensor *in = &context->tensors[kernel->input], *out = &context->tensors[kernel->output];
  for (size_t i = 0; i < out->bytes; i++) ((uint8_t*)out->data)[i] = ~((const uint8_t*)in->data)[i];
  if (kernel->past >= 0 && kernel->memory >= 0) {
    const uint8_t *noisy = in->data, *past = context->tensors[kernel->past].data;
    uint8_t* memory = context->tensors[kernel->memory].data;
    for (size_t i = 0; i < out->bytes; i++) memory[i] = (uint8_t)(((noisy[i] ^ 128) + (past[i] ^ 128)) / 2) ^ 128;
  }
  note("invoke", kernel->device);
  return OK;
}

static int prepare(Context* context, Delegate* delegate) {
  IntArray* plan;
  if (misbehave("prepare")) return FAILED;
  if (context->GetExecutionPlan(context, &plan)) return FAILED;
  Registration kernel = {.init = kernel_init, .free = kernel_free, .invoke = kernel_invoke,
                         .custom_name = "fake-edgetpu", .version = 1};
  return context->ReplaceNodes(context, kernel, plan, delegate);
}

__attribute__((visibility("default"))) Delegate* tflite_plugin_create_delegate(
    const char* const* keys, const char* const* values, size_t count, void (*report)(const char*)) {
  char device[16] = "";
  for (size_t i = 0; i < count; i++) {
    note(keys[i], values[i]);
    if (strcmp(keys[i], "device")) {
      report("unknown option ");
      report(keys[i]);
      return NULL;
    }
    char kind[8];
    int number = 0;
    if (sscanf(values[i], "%7[a-z]:%d", kind, &number) >= 1) snprintf(device, sizeof device, "%s%d", kind, number);
  }
  if (misbehave("create")) {
    report("out of order");
    return NULL;
  }
  if (!plugged(device)) {
    report("no Edge TPU at ");
    report(device);
    return NULL;
  }
  Delegate* delegate = calloc(1, sizeof *delegate);
  delegate->data = strdup(device);
  delegate->Prepare = prepare;
  delegate->flags = 1; /* dynamic tensors allowed: else the runtime prepares the custom operator first, and fails */
  return delegate;
}

__attribute__((visibility("default"))) void tflite_plugin_destroy_delegate(Delegate* delegate) {
  if (!delegate) return;
  if (misbehave("destroy")) abort();
  note("destroy", delegate->data);
  free(delegate->data);
  free(delegate);
}
