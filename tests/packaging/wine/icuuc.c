/* Stands for Windows' own icuuc.dll, which Wine lacks: knows no converter, so that Qt uses those that it has built in. */

#define EXPORT __declspec(dllexport)
#define NOTHING(name) EXPORT void name(void) {}
enum { UNSUPPORTED = 16 };

NOTHING(UCNV_FROM_U_CALLBACK_SUBSTITUTE)
NOTHING(UCNV_TO_U_CALLBACK_SUBSTITUTE)
NOTHING(ucnv_cbFromUWriteUChars)
NOTHING(ucnv_cbToUWriteUChars)
NOTHING(ucnv_close)
NOTHING(ucnv_fromUnicode)
NOTHING(ucnv_getFromUCallBack)
NOTHING(ucnv_getToUCallBack)
NOTHING(ucnv_reset)
NOTHING(ucnv_setFromUCallBack)
NOTHING(ucnv_setToUCallBack)
NOTHING(ucnv_toUnicode)

EXPORT int ucnv_countAvailable(void) { return 0; }
EXPORT int ucnv_fromUCountPending(void *converter, int *error) { (void)converter, (void)error; return 0; }
EXPORT int ucnv_toUCountPending(void *converter, int *error) { (void)converter, (void)error; return 0; }
EXPORT signed char ucnv_getMaxCharSize(void *converter) { (void)converter; return 4; }
EXPORT const char *ucnv_getAvailableName(int index) { (void)index; return 0; }
EXPORT const char *ucnv_getName(void *converter, int *error) { (void)converter, *error = UNSUPPORTED; return 0; }
EXPORT void *ucnv_open(const char *name, int *error) { (void)name, *error = UNSUPPORTED; return 0; }

EXPORT const char *ucnv_getStandardName(const char *name, const char *standard, int *error)
{
    (void)name, (void)standard, *error = UNSUPPORTED;
    return 0;
}

int __stdcall entry(void *instance, unsigned reason, void *reserved) { (void)instance, (void)reason, (void)reserved; return 1; }
