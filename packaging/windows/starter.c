/* Starts Local AI inside this very process: loads the CPython that lies beside it and runs the module localai_start.

   Compiled twice: with -DWINDOWED for the window (no console), and without for the command line. Workers are started
   through the same programs. PYTHON_DLL is the file name of CPython's library. There is no C library in it: what it
   needs are four functions of Windows. */

#include <windows.h>
#include <shellapi.h>

#define PATH_CHARACTERS 32768

typedef int (*python_main_function)(int, wchar_t **);

static wchar_t program[PATH_CHARACTERS], library[PATH_CHARACTERS];
static wchar_t *const fixed_words[] = {L"-B", L"-X", L"utf8", L"-m", L"localai_start"};
enum { FIXED_COUNT = sizeof fixed_words / sizeof *fixed_words };

static UINT fail(const wchar_t *sentence)
{
#ifdef WINDOWED
    MessageBoxW(NULL, sentence, L"Local AI", MB_OK | MB_ICONERROR);
#else
    DWORD written, length = 0;
    HANDLE console = GetStdHandle(STD_ERROR_HANDLE);
    while (sentence[length] != 0)
        length++;
    if (!WriteConsoleW(console, sentence, length, &written, NULL))
        WriteFile(console, sentence, length * sizeof(wchar_t), &written, NULL);
#endif
    return 1;
}

/* Puts the path of CPython's library beside that of the program into `library`. */
static BOOL find_library(void)
{
    static const wchar_t inside[] = L"python\\" PYTHON_DLL;
    DWORD length = GetModuleFileNameW(NULL, program, PATH_CHARACTERS), folder = 0;

    if (length == 0 || length + sizeof inside / sizeof *inside > PATH_CHARACTERS)
        return FALSE;
    for (DWORD i = 0; i < length; i++) {
        library[i] = program[i];
        if (program[i] == L'\\')
            folder = i + 1;
    }
    for (DWORD i = 0; i < sizeof inside / sizeof *inside; i++)
        library[folder + i] = inside[i];
    return TRUE;
}

static UINT run(void)
{
    int count = 0;
    wchar_t **given = CommandLineToArgvW(GetCommandLineW(), &count), **words;
    python_main_function python_main;
    HMODULE python;

    if (given == NULL || !find_library())
        return fail(L"Local AI cannot read where it is installed.\r\n");
    /* No library may come from the folder in which the program happens to be started. */
    SetDllDirectoryW(L"");
    python = LoadLibraryExW(library, NULL, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_DEFAULT_DIRS);
    if (python == NULL)
        return fail(L"A part of Local AI cannot be loaded. Install it again to repair it.\r\n");
    python_main = (python_main_function)(void *)GetProcAddress(python, "Py_Main");
    words = HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, (SIZE_T)(count + FIXED_COUNT + 1) * sizeof *words);
    if (python_main == NULL || words == NULL)
        return fail(L"A part of Local AI is damaged. Install it again to repair it.\r\n");
    words[0] = program;
    for (int i = 0; i < FIXED_COUNT; i++)
        words[1 + i] = fixed_words[i];
    for (int i = 1; i < count; i++)
        words[FIXED_COUNT + i] = given[i];
    return (UINT)python_main(count + FIXED_COUNT, words);
}

void start(void)
{
    ExitProcess(run());
}
