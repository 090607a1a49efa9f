/* Stands for Windows' own bcryptprimitives.dll, which Wine 8 lacks: random numbers, from the system's other function for them. */

__declspec(dllimport) unsigned char __stdcall SystemFunction036(void *buffer, unsigned long length);

__declspec(dllexport) int __stdcall ProcessPrng(unsigned char *buffer, unsigned long long length)
{
    while (length > 0) {
        unsigned long part = length > 65536 ? 65536 : (unsigned long)length;
        SystemFunction036(buffer, part);
        buffer += part;
        length -= part;
    }
    return 1;
}

int __stdcall entry(void *instance, unsigned reason, void *reserved) { (void)instance, (void)reason, (void)reserved; return 1; }
