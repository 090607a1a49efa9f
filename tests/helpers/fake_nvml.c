/* A stand-in for NVIDIA's libnvidia-ml.so.1, steered by the text file that FAKE_NVML names.
 *
 * Lines of the file:
 *   init RESULT
 *   driver VERSION
 *   gpu key=value ...      keys: name (with _ for blanks), total, free, reserved, cc, handle_error,
 *                          name_error, memory_error, energy_mj, energy_step_mj (added by each reading), reasons,
 *                          limit_mw, default_mw, celsius; -1: not supported, as is what is left out
 *   process GPU KIND PID BYTES NAME        KIND: C or G; BYTES -1: not available; NAME - : unknown to NVML
 *   hang                   the first call sleeps for a minute
 *
 * Functions named by -DWITHOUT_<function> are left out, as in an old driver.
 * Structures and numbers as in NVIDIA's nvml.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7 };

typedef struct { unsigned long long total, free, used; } memory_v1;
typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } memory_v2;
typedef struct { unsigned int pid; unsigned long long used; unsigned int gpu_instance, compute_instance; } process_info;

typedef struct {
    char name[96];
    unsigned long long total, free, reserved;
    int cc_major, cc_minor, handle_error, name_error, memory_error;
    long long energy_mj, energy_step_mj, reasons, limit_mw, default_mw, celsius;
} fake_gpu;
typedef struct { int gpu; char kind; unsigned int pid; long long bytes; char name[96]; } fake_process;

static fake_gpu gpus[16];
static fake_process processes[64];
static int gpu_count, process_count, init_result, hangs;
static char driver[80];

static void read_gpu(char *line) {
    fake_gpu *gpu = &gpus[gpu_count++];
    memset(gpu, 0, sizeof *gpu);
    gpu->energy_mj = gpu->reasons = gpu->limit_mw = gpu->default_mw = gpu->celsius = -1;
    for (char *word = strtok(line, " \n"); word; word = strtok(NULL, " \n")) {
        char *value = strchr(word, '=');
        if (!value) continue;
        *value++ = 0;
        if (!strcmp(word, "name")) {
            snprintf(gpu->name, sizeof gpu->name, "%s", value);
            for (char *c = gpu->name; *c; c++) if (*c == '_') *c = ' ';
        } else if (!strcmp(word, "total")) gpu->total = strtoull(value, NULL, 10);
        else if (!strcmp(word, "free")) gpu->free = strtoull(value, NULL, 10);
        else if (!strcmp(word, "reserved")) gpu->reserved = strtoull(value, NULL, 10);
        else if (!strcmp(word, "cc")) sscanf(value, "%d.%d", &gpu->cc_major, &gpu->cc_minor);
        else if (!strcmp(word, "handle_error")) gpu->handle_error = atoi(value);
        else if (!strcmp(word, "name_error")) gpu->name_error = atoi(value);
        else if (!strcmp(word, "memory_error")) gpu->memory_error = atoi(value);
        else if (!strcmp(word, "energy_mj")) gpu->energy_mj = atoll(value);
        else if (!strcmp(word, "energy_step_mj")) gpu->energy_step_mj = atoll(value);
        else if (!strcmp(word, "reasons")) gpu->reasons = atoll(value);
        else if (!strcmp(word, "limit_mw")) gpu->limit_mw = atoll(value);
        else if (!strcmp(word, "default_mw")) gpu->default_mw = atoll(value);
        else if (!strcmp(word, "celsius")) gpu->celsius = atoll(value);
    }
}

static void read_file(void) {
    char line[1024];
    const char *path = getenv("FAKE_NVML");
    FILE *file = path ? fopen(path, "r") : NULL;
    gpu_count = process_count = init_result = hangs = 0;
    snprintf(driver, sizeof driver, "580.95.05");
    if (!file) { init_result = 9; return; }
    while (fgets(line, sizeof line, file)) {
        if (!strncmp(line, "init ", 5)) init_result = atoi(line + 5);
        else if (!strncmp(line, "driver ", 7)) sscanf(line + 7, "%79s", driver);
        else if (!strncmp(line, "gpu ", 4)) read_gpu(line + 4);
        else if (!strncmp(line, "hang", 4)) hangs = 1;
        else if (!strncmp(line, "process ", 8)) {
            fake_process *p = &processes[process_count++];
            sscanf(line + 8, "%d %c %u %lld %95s", &p->gpu, &p->kind, &p->pid, &p->bytes, p->name);
        }
    }
    fclose(file);
}

static int index_of(void *handle) { return (int)((fake_gpu *)handle - gpus); }

#ifndef WITHOUT_nvmlInitWithFlags
int nvmlInitWithFlags(unsigned int flags) {
    (void)flags;
    read_file();
    if (hangs) sleep(60);
    return init_result;
}
#endif

int nvmlShutdown(void) { return SUCCESS; }

const char *nvmlErrorString(int result) {
    switch (result) {
        case 3: return "Not Supported";
        case 15: return "GPU is lost";
        case 999: return "Unknown Error";
        default: return "Some Error";
    }
}

int nvmlSystemGetDriverVersion(char *version, unsigned int length) {
    snprintf(version, length, "%s", driver);
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned int *count) {
    *count = (unsigned int)gpu_count;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **handle) {
    if (index >= (unsigned int)gpu_count) return INVALID_ARGUMENT;
    *handle = &gpus[index];
    return gpus[index].handle_error;
}

int nvmlDeviceGetName(void *handle, char *name, unsigned int length) {
    fake_gpu *gpu = handle;
    snprintf(name, length, "%s", gpu->name);
    return gpu->name_error;
}

#ifndef WITHOUT_nvmlDeviceGetCudaComputeCapability
int nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor) {
    fake_gpu *gpu = handle;
    *major = gpu->cc_major;
    *minor = gpu->cc_minor;
    return SUCCESS;
}
#endif

#ifndef WITHOUT_nvmlDeviceGetMemoryInfo
int nvmlDeviceGetMemoryInfo(void *handle, memory_v1 *memory) {
    fake_gpu *gpu = handle;
    memory->total = gpu->total;
    memory->free = gpu->free;
    memory->used = gpu->total - gpu->free;
    return gpu->memory_error;
}
#endif

#ifndef WITHOUT_nvmlDeviceGetMemoryInfo_v2
int nvmlDeviceGetMemoryInfo_v2(void *handle, memory_v2 *memory) {
    fake_gpu *gpu = handle;
    if (memory->version != (sizeof(memory_v2) | 2u << 24)) return 25;
    memory->total = gpu->total;
    memory->free = gpu->free;
    memory->reserved = gpu->reserved;
    memory->used = gpu->total - gpu->free - gpu->reserved;
    return gpu->memory_error;
}
#endif

static int list_processes(void *handle, char kind, unsigned int *count, process_info *infos) {
    unsigned int found = 0, room = *count;
    for (int i = 0; i < process_count; i++) {
        if (processes[i].gpu != index_of(handle) || processes[i].kind != kind) continue;
        if (infos && found < room) {
            memset(&infos[found], 0, sizeof infos[found]);
            infos[found].pid = processes[i].pid;
            infos[found].used = (unsigned long long)processes[i].bytes;
        }
        found++;
    }
    *count = found;
    return found > room || (found && !infos) ? INSUFFICIENT_SIZE : SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v2(void *handle, unsigned int *count, process_info *infos) {
    return list_processes(handle, 'C', count, infos);
}
int nvmlDeviceGetGraphicsRunningProcesses_v2(void *handle, unsigned int *count, process_info *infos) {
    return list_processes(handle, 'G', count, infos);
}
#ifndef WITHOUT_nvmlDeviceGetComputeRunningProcesses_v3
int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned int *count, process_info *infos) {
    return list_processes(handle, 'C', count, infos);
}
#endif
#ifndef WITHOUT_nvmlDeviceGetGraphicsRunningProcesses_v3
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *handle, unsigned int *count, process_info *infos) {
    return list_processes(handle, 'G', count, infos);
}
#endif

int nvmlSystemGetProcessName(unsigned int pid, char *name, unsigned int length) {
    for (int i = 0; i < process_count; i++) {
        if (processes[i].pid == pid && strcmp(processes[i].name, "-")) {
            snprintf(name, length, "%s", processes[i].name);
            return SUCCESS;
        }
    }
    return NOT_FOUND;
}

#ifndef WITHOUT_nvmlDeviceGetTotalEnergyConsumption
int nvmlDeviceGetTotalEnergyConsumption(void *handle, unsigned long long *millijoules) {
    fake_gpu *gpu = handle;
    if (gpu->energy_mj < 0) return NOT_SUPPORTED;
    *millijoules = (unsigned long long)gpu->energy_mj;
    gpu->energy_mj += gpu->energy_step_mj;
    return SUCCESS;
}
#endif

static int reasons_of(void *handle, unsigned long long *reasons) {
    fake_gpu *gpu = handle;
    if (gpu->reasons < 0) return NOT_SUPPORTED;
    *reasons = (unsigned long long)gpu->reasons;
    return SUCCESS;
}
#ifndef WITHOUT_nvmlDeviceGetCurrentClocksEventReasons
int nvmlDeviceGetCurrentClocksEventReasons(void *handle, unsigned long long *reasons) { return reasons_of(handle, reasons); }
#endif
int nvmlDeviceGetCurrentClocksThrottleReasons(void *handle, unsigned long long *reasons) {
    return reasons_of(handle, reasons);
}

static int figure(long long known, unsigned int *value) {
    if (known < 0) return NOT_SUPPORTED;
    *value = (unsigned int)known;
    return SUCCESS;
}
int nvmlDeviceGetEnforcedPowerLimit(void *handle, unsigned int *milliwatts) {
    return figure(((fake_gpu *)handle)->limit_mw, milliwatts);
}
int nvmlDeviceGetPowerManagementDefaultLimit(void *handle, unsigned int *milliwatts) {
    return figure(((fake_gpu *)handle)->default_mw, milliwatts);
}
int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned int *celsius) {
    return sensor ? INVALID_ARGUMENT : figure(((fake_gpu *)handle)->celsius, celsius);
}
