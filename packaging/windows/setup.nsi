; The installer for Windows: for one user, without an administrator.
;
; From the command line of makensis: TREE (the folder to install), LISTS (a folder with install.nsh, files.txt), ICON, OUTPUT,
; VERSION, VERSION_NUMBERS, SIZE_KIB, STUB (what setup.exe itself is), PROCESSOR (x64 or arm64), MINIMUM_BUILD and MINIMUM_SYSTEM
; (of Windows, as number and in words) and, to sign setup.exe and the uninstaller, SIGN_COMMAND (the file's path is appended).
;
; setup.exe /S [/D=FOLDER]                  silently; /D has to be last and takes no quotation marks
; uninstall.exe /S [/DELETEDATA=1]          silently; chats, settings and models stay unless DELETEDATA=1

Unicode true
Target ${STUB}
!ifdef QUICK
  ; For tests: a third larger, in a tenth of the time.
  SetCompressor /SOLID /FINAL zlib
!else
  SetCompressor /SOLID /FINAL lzma
  SetCompressorDictSize 64
!endif
ManifestSupportedOS Win10
ManifestDPIAware true
ManifestLongPathAware true
RequestExecutionLevel user
CRCCheck force
SetDateSave on
SetOverwrite on

!include LogicLib.nsh
!include WinVer.nsh
!include x64.nsh
!include FileFunc.nsh
!include nsDialogs.nsh
!define MUI_ICON "${ICON}"
!define MUI_UNICON "${ICON}"
!include MUI2.nsh

!define NAME "Local AI"
!define PUBLISHER "The Local AI developers"
!define WINDOWED "LocalAI.exe"
!define CONSOLE "localai-app.exe"
!define MANIFEST "installed-files.txt"
!define DATA "$LOCALAPPDATA\localai-app"
!define SETTINGS_KEY "Software\Local AI"
!define UNINSTALL_KEY "Software\Microsoft\Windows\CurrentVersion\Uninstall\Local AI"
!define CLASSES "Software\Classes"
!define FILE_CLASS "LocalAI.gguf"

Name "${NAME}"
OutFile "${OUTPUT}"
InstallDir "$LOCALAPPDATA\Programs\Local AI"
InstallDirRegKey HKCU "${SETTINGS_KEY}" "InstallDir"
BrandingText "${NAME} ${VERSION}"

VIProductVersion "${VERSION_NUMBERS}"
VIFileVersion "${VERSION_NUMBERS}"
VIAddVersionKey /LANG=0 "ProductName" "${NAME}"
VIAddVersionKey /LANG=0 "ProductVersion" "${VERSION}"
VIAddVersionKey /LANG=0 "FileVersion" "${VERSION}"
VIAddVersionKey /LANG=0 "FileDescription" "${NAME} Setup"
VIAddVersionKey /LANG=0 "CompanyName" "${PUBLISHER}"
VIAddVersionKey /LANG=0 "LegalCopyright" "© ${PUBLISHER}. MIT licence."

!ifdef SIGN_COMMAND
  !finalize '${SIGN_COMMAND} "%1"'
  !uninstfinalize '${SIGN_COMMAND} "%1"'
!endif

!define MUI_ABORTWARNING
!define MUI_FINISHPAGE_RUN "$INSTDIR\${WINDOWED}"
!define MUI_FINISHPAGE_RUN_TEXT "Open Local AI"
!define MUI_FINISHPAGE_NOREBOOTSUPPORT
!insertmacro MUI_PAGE_DIRECTORY
!insertmacro MUI_PAGE_INSTFILES
!insertmacro MUI_PAGE_FINISH
UninstPage custom un.AskAboutData un.OnDataAsked
!insertmacro MUI_UNPAGE_INSTFILES
!insertmacro MUI_LANGUAGE "English"

Var DeletesData
Var DataBox

; Waits until no program of the installation runs: asks the window to close, then the user, or gives up after 30 s if silent.
!macro WaitUntilClosed PREFIX
  Function ${PREFIX}IsRunning
    ; On the stack "1" if a program is running: then Windows refuses to open its file for writing.
    StrCpy $0 "0"
    ${If} ${FileExists} "$INSTDIR\${WINDOWED}"
      ClearErrors
      FileOpen $1 "$INSTDIR\${WINDOWED}" a
      ${If} ${Errors}
        StrCpy $0 "1"
      ${Else}
        FileClose $1
      ${EndIf}
    ${EndIf}
    ${If} ${FileExists} "$INSTDIR\${CONSOLE}"
      ClearErrors
      FileOpen $1 "$INSTDIR\${CONSOLE}" a
      ${If} ${Errors}
        StrCpy $0 "1"
      ${Else}
        FileClose $1
      ${EndIf}
    ${EndIf}
    ClearErrors
    Push $0
  FunctionEnd

  Function ${PREFIX}WaitUntilClosed
    StrCpy $2 0
    ${Do}
      Call ${PREFIX}IsRunning
      Pop $0
      ${If} $0 == "0"
        ${ExitDo}
      ${EndIf}
      FindWindow $3 "" "${NAME}"
      ${If} $3 <> 0
        SendMessage $3 ${WM_CLOSE} 0 0 /TIMEOUT=2000
      ${EndIf}
      ${If} ${Silent}
        IntOp $2 $2 + 1
        ${If} $2 > 30
          SetErrorLevel 2
          Abort "${NAME} is still running."
        ${EndIf}
        Sleep 1000
      ${Else}
        Sleep 1500
        Call ${PREFIX}IsRunning
        Pop $0
        ${If} $0 == "1"
          MessageBox MB_RETRYCANCEL|MB_ICONINFORMATION "${NAME} is running. Close it, then choose Retry." IDRETRY +3
          SetErrorLevel 2
          Abort "${NAME} is still running."
        ${EndIf}
      ${EndIf}
    ${Loop}
  FunctionEnd

  ; Removes what an installation put there, by its own list: files first, then folders that are empty. Nothing else is touched.
  Function ${PREFIX}RemoveInstalled
    GetFullPathName $5 "$INSTDIR"
    StrCpy $5 "$5\"
    StrLen $6 $5
    ClearErrors
    FileOpen $1 "$INSTDIR\${MANIFEST}" r
    ${If} ${Errors}
      ClearErrors
      Return
    ${EndIf}
    ${Do}
      FileReadUTF16LE $1 $2
      ${If} ${Errors}
        ${ExitDo}
      ${EndIf}
      ${TrimLineEnd} $2
      ; A line that leads out of the folder, in a list that was damaged or changed, is passed over.
      GetFullPathName $3 "$INSTDIR\$2"
      StrCpy $4 $3 $6
      ${If} $2 != ""
      ${AndIf} $4 == $5
        StrCpy $4 $2 1 -1
        ${If} $4 == "\"
          RMDir "$INSTDIR\$2"
        ${Else}
          Delete "$INSTDIR\$2"
        ${EndIf}
      ${EndIf}
    ${Loop}
    FileClose $1
    Delete "$INSTDIR\${MANIFEST}"
    ClearErrors
  FunctionEnd

!macroend

!macro TrimLineEnd TEXT
  ${Do}
    StrCpy $4 ${TEXT} 1 -1
    ${If} $4 == "$\n"
    ${OrIf} $4 == "$\r"
      StrCpy ${TEXT} ${TEXT} -1
    ${Else}
      ${ExitDo}
    ${EndIf}
  ${Loop}
!macroend
!define TrimLineEnd "!insertmacro TrimLineEnd"

!insertmacro WaitUntilClosed ""
!insertmacro WaitUntilClosed "un."

Function .onInit
  ${IfNot} ${AtLeastBuild} ${MINIMUM_BUILD}
    MessageBox MB_OK|MB_ICONSTOP "${NAME} needs ${MINIMUM_SYSTEM} or later." /SD IDOK
    SetErrorLevel 3
    Quit
  ${EndIf}
!if ${PROCESSOR} == "arm64"
  ${IfNot} ${IsNativeARM64}
!else
  ${IfNot} ${RunningX64}
!endif
    MessageBox MB_OK|MB_ICONSTOP "This file is for another processor. Take the one for this computer." /SD IDOK
    SetErrorLevel 3
    Quit
  ${EndIf}
FunctionEnd

Section "install"
  Call WaitUntilClosed
  Call RemoveInstalled
  ClearErrors
  SetOutPath "$INSTDIR"
  ; Before all else, so that what is interrupted can be removed too.
  File "/oname=${MANIFEST}" "${LISTS}/files.txt"
  WriteUninstaller "$INSTDIR\uninstall.exe"
  !include "${LISTS}/install.nsh"
  SetOutPath "$INSTDIR"
  ${If} ${Errors}
    SetErrorLevel 4
    MessageBox MB_OK|MB_ICONSTOP "Some files could not be written. Is the disk full?" /SD IDOK
    Abort "Some files could not be written."
  ${EndIf}

  CreateShortcut "$SMPROGRAMS\${NAME}.lnk" "$INSTDIR\${WINDOWED}"

  WriteRegStr HKCU "${SETTINGS_KEY}" "InstallDir" "$INSTDIR"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "DisplayName" "${NAME}"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "DisplayVersion" "${VERSION}"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "DisplayIcon" "$INSTDIR\${WINDOWED}"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "Publisher" "${PUBLISHER}"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "InstallLocation" "$INSTDIR"
  WriteRegStr HKCU "${UNINSTALL_KEY}" "UninstallString" '"$INSTDIR\uninstall.exe"'
  WriteRegStr HKCU "${UNINSTALL_KEY}" "QuietUninstallString" '"$INSTDIR\uninstall.exe" /S'
  WriteRegDWORD HKCU "${UNINSTALL_KEY}" "EstimatedSize" ${SIZE_KIB}
  WriteRegDWORD HKCU "${UNINSTALL_KEY}" "NoModify" 1
  WriteRegDWORD HKCU "${UNINSTALL_KEY}" "NoRepair" 1

  ; Offered for .gguf files, beside whatever else opens them; links of the Hub open here unless another program has them.
  WriteRegStr HKCU "${CLASSES}\${FILE_CLASS}" "" "GGUF model"
  WriteRegStr HKCU "${CLASSES}\${FILE_CLASS}\DefaultIcon" "" "$INSTDIR\${WINDOWED},0"
  WriteRegStr HKCU "${CLASSES}\${FILE_CLASS}\shell\open\command" "" '"$INSTDIR\${WINDOWED}" "%1"'
  WriteRegStr HKCU "${CLASSES}\.gguf\OpenWithProgids" "${FILE_CLASS}" ""
  ReadRegStr $0 HKCU "${CLASSES}\.gguf" ""
  ${If} $0 == ""
    WriteRegStr HKCU "${CLASSES}\.gguf" "" "${FILE_CLASS}"
  ${EndIf}
  ReadRegStr $0 HKCU "${CLASSES}\hf\shell\open\command" ""
  ReadRegStr $1 HKCU "${CLASSES}\hf" "LocalAI"
  ${If} $0 == ""
  ${OrIf} $1 != ""
    WriteRegStr HKCU "${CLASSES}\hf" "" "URL:Hugging Face model"
    WriteRegStr HKCU "${CLASSES}\hf" "URL Protocol" ""
    WriteRegStr HKCU "${CLASSES}\hf" "LocalAI" "1"
    WriteRegStr HKCU "${CLASSES}\hf\shell\open\command" "" '"$INSTDIR\${WINDOWED}" "%1"'
  ${EndIf}
  ${RefreshShellIcons}
SectionEnd

Function un.onInit
  StrCpy $DeletesData "0"
  ${GetParameters} $0
  ClearErrors
  ${GetOptions} $0 "/DELETEDATA=" $1
  ${IfNot} ${Errors}
  ${AndIf} $1 == "1"
    StrCpy $DeletesData "1"
  ${EndIf}
  ClearErrors
FunctionEnd

Function un.AskAboutData
  !insertmacro MUI_HEADER_TEXT "Uninstall ${NAME}" "The program is removed. What you made with it stays, unless you say otherwise."
  nsDialogs::Create 1018
  Pop $0
  ${NSD_CreateCheckBox} 0 10u 100% 12u "Also delete my chats, settings, measurements and the models downloaded to"
  Pop $DataBox
  ${NSD_CreateLabel} 12u 24u 95% 24u "${DATA}$\r$\nModels in other folders are never deleted."
  Pop $0
  ${If} $DeletesData == "1"
    ${NSD_Check} $DataBox
  ${EndIf}
  nsDialogs::Show
FunctionEnd

Function un.OnDataAsked
  ${NSD_GetState} $DataBox $DeletesData
FunctionEnd

Section "Uninstall"
  Call un.WaitUntilClosed
  Call un.RemoveInstalled
  Delete "$INSTDIR\uninstall.exe"
  RMDir "$INSTDIR"
  Delete "$SMPROGRAMS\${NAME}.lnk"

  DeleteRegKey HKCU "${UNINSTALL_KEY}"
  DeleteRegKey HKCU "${SETTINGS_KEY}"
  DeleteRegKey HKCU "${CLASSES}\${FILE_CLASS}"
  DeleteRegValue HKCU "${CLASSES}\.gguf\OpenWithProgids" "${FILE_CLASS}"
  ReadRegStr $0 HKCU "${CLASSES}\.gguf" ""
  ${If} $0 == "${FILE_CLASS}"
    DeleteRegValue HKCU "${CLASSES}\.gguf" ""
  ${EndIf}
  DeleteRegKey /ifempty HKCU "${CLASSES}\.gguf\OpenWithProgids"
  DeleteRegKey /ifempty HKCU "${CLASSES}\.gguf"
  ReadRegStr $0 HKCU "${CLASSES}\hf" "LocalAI"
  ${If} $0 != ""
    DeleteRegKey HKCU "${CLASSES}\hf"
  ${EndIf}
  ${If} $DeletesData == "1"
    RMDir /r "${DATA}"
  ${EndIf}
  ${RefreshShellIcons}
SectionEnd
