/* Captions features with an exported captioner, in plain C: no Python, no vocabulary, no tokenizer.
 *
 *   cc -o caption caption.c -I$TF/include -L$TF -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2 -Wl,-rpath,$TF
 *   ./caption saved_model/1 1700 < features.f32          ($TF: folder of the tensorflow package)
 *
 * Reads rows of WIDTH float32 numbers (this machine's byte order) and prints one line a video: score, tab, caption.
 * That the C API alone loads the model proves that its graph holds core operations and nothing else.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/tf_tstring.h"

#define MAX_ROWS 65536

typedef struct {
    const uint8_t *at, *end;
} Bytes;

static void fail(const char *what, const char *detail) {
    fprintf(stderr, "caption: %s%s%s\n", what, detail ? ": " : "", detail ? detail : "");
    exit(1);
}

static void check(TF_Status *status, const char *what) {
    if (TF_GetCode(status) != TF_OK) fail(what, TF_Message(status));
}

/* === The few bytes of protocol buffers that name a signature's tensors === */

static uint64_t varint(Bytes *in) {
    uint64_t value = 0;
    for (int shift = 0; in->at < in->end && shift < 64; shift += 7) {
        uint8_t byte = *in->at++;
        value |= (uint64_t)(byte & 127) << shift;
        if (!(byte & 128)) return value;
    }
    fail("damaged signature", NULL);
    return 0;
}

/* The next field: its number, and its content when it has one. 0 at the end. */
static int next_field(Bytes *in, Bytes *content) {
    if (in->at >= in->end) return 0;
    uint64_t key = varint(in), size = 0;
    content->at = content->end = in->at;
    switch (key & 7) {
        case 0: varint(in); return (int)(key >> 3);
        case 1: size = 8; break;
        case 2: size = varint(in); break;
        case 5: size = 4; break;
        default: fail("damaged signature", NULL);
    }
    if (size > (uint64_t)(in->end - in->at)) fail("damaged signature", NULL);
    content->at = in->at;
    content->end = in->at += size;
    return (int)(key >> 3);
}

/* The value of `name` in a map<string, message> that is field `field` of a message. */
static int map_entry(Bytes message, int field, const char *name, Bytes *value) {
    Bytes entry, part;
    for (int number; (number = next_field(&message, &entry));) {
        if (number != field) continue;
        int found = 0;
        Bytes body = {0};
        while ((number = next_field(&entry, &part))) {
            if (number == 1) found = (size_t)(part.end - part.at) == strlen(name) && !memcmp(part.at, name, strlen(name));
            if (number == 2) body = part;
        }
        if (found) return *value = body, 1;
    }
    return 0;
}

/* The operation output behind input (field 1) or output (field 2) `name` of a SignatureDef. */
static TF_Output tensor_of(TF_Graph *graph, Bytes signature, int field, const char *name) {
    Bytes info, part;
    if (!map_entry(signature, field, name, &info)) fail("the signature lacks", name);
    for (int number; (number = next_field(&info, &part));) {
        if (number != 1) continue; /* TensorInfo.name, "operation:index" */
        char text[512];
        size_t size = (size_t)(part.end - part.at);
        if (size >= sizeof text) fail("a tensor name is too long", name);
        memcpy(text, part.at, size);
        text[size] = 0;
        char *colon = strrchr(text, ':');
        int index = colon ? atoi(colon + 1) : 0;
        if (colon) *colon = 0;
        TF_Output output = {TF_GraphOperationByName(graph, text), index};
        if (!output.oper) fail("no such operation", text);
        return output;
    }
    fail("a tensor without a name", name);
    return (TF_Output){0};
}

static float *read_rows(int64_t width, int64_t *rows) {
    size_t room = 1024, used = 0;
    float *values = malloc(room * sizeof *values);
    for (;;) {
        if (!values) fail("no memory", NULL);
        size_t got = fread(values + used, sizeof *values, room - used, stdin);
        used += got;
        if (!got) break;
        if (used > (size_t)width * MAX_ROWS) fail("too many rows", NULL);
        if (used == room) values = realloc(values, (room *= 2) * sizeof *values);
    }
    if (!used || used % (size_t)width) fail("standard input must hold whole rows of float32", NULL);
    *rows = (int64_t)used / width;
    return values;
}

int main(int count, char **words) {
    if (count != 3 || atoll(words[2]) < 1) fail("usage: caption SAVED_MODEL WIDTH < features.f32", NULL);
    int64_t width = atoll(words[2]), rows;
    float *values = read_rows(width, &rows);

    TF_Status *status = TF_NewStatus();
    TF_Graph *graph = TF_NewGraph();
    TF_SessionOptions *options = TF_NewSessionOptions();
    TF_Buffer *meta = TF_NewBuffer();
    const char *tag = "serve";
    TF_Session *session = TF_LoadSessionFromSavedModel(options, NULL, words[1], &tag, 1, graph, meta, status);
    check(status, "cannot load the model");

    Bytes whole = {meta->data, (const uint8_t *)meta->data + meta->length}, signature;
    if (!map_entry(whole, 5, "serving_default", &signature)) fail("no signature serving_default", NULL);
    TF_Output input = tensor_of(graph, signature, 1, "features");
    TF_Output outputs[2] = {tensor_of(graph, signature, 2, "caption"), tensor_of(graph, signature, 2, "score")};

    int64_t shape[2] = {rows, width};
    size_t size = (size_t)(rows * width) * sizeof *values;
    TF_Tensor *features = TF_AllocateTensor(TF_FLOAT, shape, 2, size), *results[2] = {NULL, NULL};
    memcpy(TF_TensorData(features), values, size);
    TF_SessionRun(session, NULL, &input, &features, 1, outputs, results, 2, NULL, 0, NULL, status);
    check(status, "cannot caption");

    const TF_TString *captions = TF_TensorData(results[0]);
    const float *scores = TF_TensorData(results[1]);
    for (int64_t row = 0; row < rows; row++) {
        const TF_TString *text = captions + row;
        printf("%.9g\t%.*s\n", scores[row], (int)TF_TString_GetSize(text), TF_TString_GetDataPointer(text));
    }

    for (int i = 0; i < 2; i++) TF_DeleteTensor(results[i]);
    TF_DeleteTensor(features);
    TF_CloseSession(session, status);
    TF_DeleteSession(session, status);
    TF_DeleteBuffer(meta);
    TF_DeleteSessionOptions(options);
    TF_DeleteGraph(graph);
    TF_DeleteStatus(status);
    free(values);
    return 0;
}
