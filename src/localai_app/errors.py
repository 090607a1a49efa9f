"""Everything that can go wrong in words, declared once as data.

An `ErrorSpec` is one way to fail: what happened, what to do, and the button that does it. `AppError`
is one occurrence of it. An `AppError` is for the user's eyes; any other exception is a bug and goes
to the crash dialog.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Remedy(StrEnum):
    """What the button beside an error does; pages map each value to an action of theirs."""

    NONE = "none"
    RETRY = "retry"
    OPEN_SETTINGS = "open_settings"
    CHOOSE_FOLDER = "choose_folder"
    CHOOSE_MODEL = "choose_model"
    RELOAD_MODEL = "reload_model"
    DOWNLOAD_AGAIN = "download_again"
    OPEN_MODEL_PAGE = "open_model_page"
    SHOW_LOG = "show_log"
    CHANGE_LOAD_SETTINGS = "change_load_settings"
    CHANGE_TEMPLATE = "change_template"
    MAKE_ROOM = "make_room"
    LOAD_SAFELY = "load_safely"


@dataclass(frozen=True, slots=True)
class ErrorSpec:
    """One way to fail. `message` and `action` are one sentence each, with `{fields}` to fill in."""

    code: str
    message: str
    action: str
    remedy: Remedy = Remedy.NONE


class AppError(Exception):
    """One occurrence of an `ErrorSpec`: `message`, `action` and `detail` are ready for the screen."""

    def __init__(self, spec: ErrorSpec, *, detail: str = "", **fields: object) -> None:
        self.spec = spec
        self.message = spec.message.format(**fields)
        self.action = spec.action.format(**fields)
        self.detail = detail
        super().__init__(f"{self.message} {self.action}")

    @property
    def code(self) -> str:
        """The stable name of this way to fail, for logs, JSON and tests."""
        return self.spec.code

    @property
    def remedy(self) -> Remedy:
        """What the button beside the message does."""
        return self.spec.remedy


# --- model files -------------------------------------------------------------------------------
NOT_A_GGUF = ErrorSpec(
    "not_a_gguf", "{name} is not a GGUF model file.", "Choose a file in the GGUF format, or download the model again.",
    Remedy.CHOOSE_MODEL)
GGUF_TRUNCATED = ErrorSpec(
    "gguf_truncated", "{name} is incomplete: it ends in the middle of {where}.", "Download it again.", Remedy.DOWNLOAD_AGAIN)
GGUF_REFUSED = ErrorSpec(
    "gguf_refused", "{name} was refused because its header is damaged: {reason}.",
    "Download it again, or choose another file.", Remedy.DOWNLOAD_AGAIN)
MODEL_FILE_MISSING = ErrorSpec(
    "model_file_missing", "The model file {name} is no longer there.", "Download it again, or choose another model.",
    Remedy.DOWNLOAD_AGAIN)
MODEL_FILE_UNREADABLE = ErrorSpec(
    "model_file_unreadable", "The model file {name} cannot be read.", "Check the permissions of the file and its folder.")
MODEL_NOT_INSTALLED = ErrorSpec(
    "model_not_installed", "No installed model is called {name}.",
    "See the installed ones on the Models page or with `localai-app models`.", Remedy.CHOOSE_MODEL)
MODEL_PARTS_MISSING = ErrorSpec(
    "model_parts_missing", "{name} is split into {expected} files, and {missing} is missing.",
    "Download the model again to fetch the missing part.", Remedy.DOWNLOAD_AGAIN)

# --- Hub and downloads -------------------------------------------------------------------------
HUB_UNREACHABLE = ErrorSpec(
    "hub_unreachable", "The Hub at {host} cannot be reached.", "Check the internet connection and the proxy, then try again.",
    Remedy.RETRY)
HUB_REFUSED = ErrorSpec(
    "hub_refused", "The Hub refused the request with status {status}.", "Try again in a few minutes.", Remedy.RETRY)
HUB_RATE_LIMITED = ErrorSpec(
    "hub_rate_limited", "The Hub asks for a pause because of too many requests.", "Try again in {wait}.", Remedy.RETRY)
HUB_TOKEN_REFUSED = ErrorSpec(
    "hub_token_refused", "The Hub at {host} does not accept the access token.",
    "Enter a valid token in the settings, or sign out of the Hub.", Remedy.OPEN_SETTINGS)
HUB_ADDRESS_INVALID = ErrorSpec(
    "hub_address_invalid", "The Hub address {address} cannot be used.",
    "Correct it in the settings, or leave it empty for the public Hub.", Remedy.OPEN_SETTINGS)
PROXY_INVALID = ErrorSpec(
    "proxy_invalid", "The proxy address cannot be used.", "Correct it in the settings, for example http://proxy:3128.",
    Remedy.OPEN_SETTINGS)
CERTIFICATES_UNREADABLE = ErrorSpec(
    "certificates_unreadable", "The certificates for secure connections cannot be read: {reason}.",
    "Correct or remove the variables SSL_CERT_FILE and SSL_CERT_DIR of the environment, and start Local AI again.")
CERTIFICATE_REFUSED = ErrorSpec(
    "certificate_refused", "There is no secure connection to {host}, because its certificate is not trusted: {reason}.",
    "Check the date and time of this computer. Where a company or a virus scanner reads along, its certificate must be among "
    "those that this computer trusts.", Remedy.RETRY)
HUB_BAD_ANSWER = ErrorSpec(
    "hub_bad_answer", "The Hub at {host} sent something that is not an answer: {reason}.",
    "Check the Hub address and the proxy in the settings.", Remedy.OPEN_SETTINGS)
REPO_UNKNOWN = ErrorSpec(
    "repo_unknown", "There is no model {repo} on the Hub, or it is private.", "Check the spelling of its name.")
REPO_GATED = ErrorSpec(
    "repo_gated", "{repo} is shared only with people who accepted its licence.",
    "Accept it on the model's page and enter your Hub token in the settings.", Remedy.OPEN_MODEL_PAGE)
REFERENCE_INVALID = ErrorSpec(
    "reference_invalid", "“{text}” does not name a model on the Hub.",
    "Write it as owner/name, owner/name:Q4_K_M, or paste the address of the model's page.")
REPO_HAS_NO_GGUF = ErrorSpec(
    "repo_has_no_gguf", "{repo} holds no GGUF files.", "Look for a repository of the same model whose name ends in GGUF.")
VARIANT_UNKNOWN = ErrorSpec(
    "variant_unknown", "{repo} has no variant {variant}.", "Choose one of: {choices}.")
VARIANT_AMBIGUOUS = ErrorSpec(
    "variant_ambiguous", "{repo} has several variants.", "Name one after a colon: {choices}.")
UNSAFE_FILE_NAME = ErrorSpec(
    "unsafe_file_name", "The Hub offers a file with an unsafe name: {name}.", "Choose another repository of this model.")
HASH_MISMATCH = ErrorSpec(
    "hash_mismatch", "{name} arrived damaged: its checksum differs from the one that the Hub states.",
    "It was removed; download it again.", Remedy.DOWNLOAD_AGAIN)
FILE_CHANGED = ErrorSpec(
    "file_changed", "{name} was changed on the Hub while it was being downloaded.", "Start the download again.",
    Remedy.DOWNLOAD_AGAIN)
NO_SPACE = ErrorSpec(
    "no_space", "There is not enough free space in {folder}: {needed} needed, {free} free.",
    "Free some space, or choose another models folder in the settings.", Remedy.OPEN_SETTINGS)
DISK_FULL = ErrorSpec(
    "disk_full", "The disk that holds {folder} is full.",
    "Free some space; what was downloaded is kept and the download goes on.",
    Remedy.RETRY)
FILE_TOO_LARGE_FOR_DISK = ErrorSpec(
    "file_too_large_for_disk", "The disk that holds {folder} cannot store a file as large as {name}.",
    "Choose a folder on another disk in the settings.", Remedy.OPEN_SETTINGS)
FOLDER_READ_ONLY = ErrorSpec(
    "folder_read_only", "The folder {folder} cannot be written to.",
    "Choose another folder in the settings, or change its permissions.", Remedy.OPEN_SETTINGS)
FOLDER_MISSING = ErrorSpec(
    "folder_missing", "The folder {folder} is not there.",
    "Connect the drive it is on, or choose another folder in the settings.", Remedy.OPEN_SETTINGS)
DOWNLOAD_BUSY = ErrorSpec(
    "download_busy", "{name} is already being downloaded by another window or command.", "Wait until that one has finished.")
TRANSFER_FAILED = ErrorSpec(
    "transfer_failed", "The download of {name} stopped: {reason}.", "What has arrived is kept; try again to go on from there.",
    Remedy.RETRY)

# --- engine ------------------------------------------------------------------------------------
ENGINE_MISSING = ErrorSpec(
    "engine_missing", "The engine (llama.cpp) is not installed here.",
    "Install Local AI again (in a checkout: `python3 dev.py run`); hardware, catalog and downloads work without it.")
ENGINE_UNUSABLE = ErrorSpec(
    "engine_unusable", "The engine (llama.cpp) could not be started.",
    "Install Local AI again (in a checkout: `python3 dev.py run`).",
    Remedy.SHOW_LOG)
ENGINE_TEST_FAILED = ErrorSpec(
    "engine_test_failed", "The engine (llama.cpp) failed its self-test: {reason}.",
    "Models may crash or answer nonsense: install Local AI again (in a checkout: `python3 dev.py run`).", Remedy.SHOW_LOG)
ENGINE_REPLACED = ErrorSpec(
    "engine_replaced", "The engine “{name}” failed its self-test: {reason}.",
    "“{other}” is used instead; the Performance page can test it again.")
ENGINE_PART_DAMAGED = ErrorSpec(
    "engine_part_damaged", "A part of the engine is not used: {reason}.",
    "The rest of it works; install Local AI again to have all of it.")
ENGINE_CRASHED = ErrorSpec(
    "engine_crashed", "The engine stopped: {cause}.",
    "What is there so far is kept; load the model again, or start again what it was doing.", Remedy.RELOAD_MODEL)
ENGINE_CRASHED_AGAIN = ErrorSpec(
    "engine_crashed_again", "With {name} the engine stopped {count} times in a row, the last time because {cause}.",
    "Load it with safe settings: on the processor alone and with a short context, which is slower.", Remedy.LOAD_SAFELY)
ENGINE_OUT_OF_MEMORY = ErrorSpec(
    "engine_out_of_memory", "The engine ran out of memory.",
    "Choose a smaller context or a smaller model, or close other programs, then load the model again.", Remedy.RELOAD_MODEL)
ENGINE_NOT_RESPONDING = ErrorSpec(
    "engine_not_responding", "The engine did not answer for {seconds} seconds.", "Load the model again.", Remedy.RELOAD_MODEL)
LENDER_LOST = ErrorSpec(
    "lender_lost", "A computer that lent its devices to this model no longer answers.",
    "The text so far is kept; the model is loaded again on the devices that are left.", Remedy.RELOAD_MODEL)
LENDING_NEEDS_TRUST = ErrorSpec(
    "lending_needs_trust", "{address} can be reached by other computers, and whoever reaches it needs no password.",
    "Turn on “Trust the network” in the settings first, if you trust everybody in it; or use an address of this computer.",
    Remedy.OPEN_SETTINGS)
LENDING_FAILED = ErrorSpec(
    "lending_failed", "The devices of this computer cannot be lent at {address}: {reason}.",
    "Choose another address or port in the settings.", Remedy.OPEN_SETTINGS)
MODEL_LOAD_FAILED = ErrorSpec(
    "model_load_failed", "The engine could not load {name}: {reason}.", "Choose another model, or download it again.",
    Remedy.CHOOSE_MODEL)
NOTHING_MEASURED = ErrorSpec(
    "nothing_measured", "{name} could not be measured: an answer came between, or there was no memory for it.",
    "Try again when the model is idle.")
DRAFT_REFUSED = ErrorSpec(
    "draft_refused", "{draft} cannot draft tokens for {name}: {reason}.", "Choose another draft model, or none.",
    Remedy.CHANGE_LOAD_SETTINGS)
MODEL_TOO_LARGE = ErrorSpec(
    "model_too_large", "{name} needs {needed}, and {available} is available.",
    "Choose a smaller model or variant, or close other programs.", Remedy.CHOOSE_MODEL)
LOAD_SETTINGS_DO_NOT_FIT = ErrorSpec(
    "load_settings_do_not_fit", "{name} cannot be loaded as it is set: {reason}.",
    "Change its load settings, or set them back to automatic.", Remedy.CHANGE_LOAD_SETTINGS)
ARCHITECTURE_UNKNOWN = ErrorSpec(
    "architecture_unknown", "This version of the engine does not know models of the kind “{architecture}”.",
    "Choose another model, or update Local AI.", Remedy.CHOOSE_MODEL)
PROMPT_TOO_LONG = ErrorSpec(
    "prompt_too_long", "The conversation needs {needed} tokens, and the context holds {context}.",
    "Start a new chat, shorten the message, or set a larger context.", Remedy.OPEN_SETTINGS)
TEMPLATE_FAILED = ErrorSpec(
    "template_failed", "The chat template of this model cannot be used: {reason}.",
    "Choose another template for it in its load settings.", Remedy.CHANGE_TEMPLATE)
SAMPLING_INVALID = ErrorSpec(
    "sampling_invalid", "The sampling cannot be used: {reason}", "Change it beside the chat, or on the command line.")
GRAMMAR_INVALID = ErrorSpec(
    "grammar_invalid", "The grammar cannot be used: {reason}.", "Correct the grammar, or leave it out.")
JSON_SCHEMA_INVALID = ErrorSpec(
    "json_schema_invalid", "The JSON schema cannot be used: {reason}.", "Correct the schema, or leave it out.")
GRAMMAR_STUCK = ErrorSpec(
    "grammar_stuck", "The answer could not go on: {reason}.", "Simplify the grammar or the schema, and ask again.")
MODEL_IN_THE_WAY = ErrorSpec(
    "model_in_the_way", "{name} needs {needed} and does not fit beside {others}, which would give back {held}.",
    "Make room by unloading {others}, or keep what is loaded.", Remedy.MAKE_ROOM)
MODEL_ANSWERING = ErrorSpec(
    "model_answering", "To make room, {others} would be unloaded in the middle of an answer.",
    "Make room now, or wait for the end of the answer.", Remedy.MAKE_ROOM)
NO_MODEL_LOADED = ErrorSpec(
    "no_model_loaded", "No model is loaded.", "Choose a model first.", Remedy.CHOOSE_MODEL)

BENCHMARK_BUSY = ErrorSpec(
    "benchmark_busy", "A benchmark cannot begin while {what}.",
    "A benchmark needs the computer for itself: wait until that is over.")
BENCHMARK_INTERRUPTED = ErrorSpec(
    "benchmark_interrupted", "The benchmark was stopped because a model was wanted for an answer.",
    "Run it again when nothing else is asked.")
PROMPT_FILE_WRONG = ErrorSpec(
    "prompt_file_wrong", "The prompts in {file} cannot be used: {reason}", "Correct the file and try again.")
PROMPT_FILE_UNREADABLE = ErrorSpec(
    "prompt_file_unreadable", "The file {file} cannot be opened: {reason}.", "Check its path and your rights to it.")
PROMPT_SET_UNKNOWN = ErrorSpec(
    "prompt_set_unknown", "There is no prompt set called {name}.", "Choose one of the list.")
PROMPT_SET_WRONG = ErrorSpec(
    "prompt_set_wrong", "The prompt set {name} cannot be kept: {reason}", "Change it and save it again.")
PROMPT_SET_BUILT_IN = ErrorSpec(
    "prompt_set_built_in", "The prompt set {name} belongs to the program and stays as it is.",
    "Duplicate it and change the copy, or choose another name.")
PROMPT_SET_NAME_TAKEN = ErrorSpec(
    "prompt_set_name_taken", "There is another prompt set called {name}.", "Choose another name.")
COMPARISON_BUSY = ErrorSpec(
    "comparison_busy", "A comparison cannot begin while {what}.",
    "A comparison needs the computer for itself: wait until that is over.")
COMPARISON_INVALID = ErrorSpec(
    "comparison_invalid", "This cannot be compared: {reason}.", "Change what is to be compared.")
COMPARISON_MISSING = ErrorSpec(
    "comparison_missing", "There is no comparison number {id}.", "See the list of comparisons for those that there are.")
COMPARISON_RUNS = ErrorSpec(
    "comparison_runs", "This comparison is running.", "Cancel it first.")
JUDGE_BUSY = ErrorSpec(
    "judge_busy", "A judge cannot begin while {what}.", "It needs the computer for itself: wait until that is over.")
JUDGE_IS_CONTESTANT = ErrorSpec(
    "judge_is_contestant", "{name} is one of the contestants, and models prefer what they would have written themselves.",
    "Choose another judge, or insist.")
NOTHING_TO_JUDGE = ErrorSpec(
    "nothing_to_judge", "There is nothing left for {name} to judge.",
    "A judge needs two answers to a prompt, and votes on them once.")
OVER_MEMORY_LIMIT = ErrorSpec(
    "over_memory_limit", "{name} needs {needed}, and the memory limit of comparisons is {limit}.",
    "Choose a smaller model or context, or raise the limit.", Remedy.OPEN_SETTINGS)

LOSS_REFUSED = ErrorSpec(
    "loss_refused", "What {variant} loses against {reference} cannot be measured: {reason}.",
    "Choose two variants of the same model.", Remedy.CHOOSE_MODEL)
LOSS_BUSY = ErrorSpec(
    "loss_busy", "This cannot begin while {what}.", "Wait until that is over, or stop it.")
LOSS_TOO_LARGE = ErrorSpec(
    "loss_too_large", "{reference} and {variant} together need {needed} of memory, and {free} is free.",
    "Choose a smaller reference, or close other programs.")
LOSS_FAILED = ErrorSpec(
    "loss_failed", "{variant} was not measured. {reason}", "What was measured before it is kept; try again, or leave it out.")
TEXT_TOO_SHORT = ErrorSpec(
    "text_too_short", "The text has {tokens} tokens, and at least {needed} are needed.",
    "Choose a longer text, or a shorter context.")
QUANTIZE_REFUSED = ErrorSpec(
    "quantize_refused", "{name} is not made into {label}: {reason}.", "Choose another variant.")
QUANTIZE_FAILED = ErrorSpec(
    "quantize_failed", "{name} could not be made into {label}: {reason}.",
    "Nothing was kept; choose another variant or another file.")

# --- store and settings ------------------------------------------------------------------------
STORE_DAMAGED = ErrorSpec(
    "store_damaged", "The file with your chats was damaged.",
    "What could be read was recovered; the damaged file is kept as {backup}.", Remedy.SHOW_LOG)
STORE_NEWER = ErrorSpec(
    "store_newer", "Your chats were written by a newer version of Local AI.",
    "Update Local AI, or start it with another data folder (--data-dir).")
STORE_UNAVAILABLE = ErrorSpec(
    "store_unavailable", "The file with your chats cannot be opened in {folder}: {reason}.",
    "Check the free space and the permissions of that folder, or use another one (--data-dir).")
STORE_BUSY = ErrorSpec(
    "store_busy", "The file with your chats is in use by another program.", "Close the other program and try again.",
    Remedy.RETRY)
CHAT_MISSING = ErrorSpec(
    "chat_missing", "This chat is no longer there.", "Start a new chat.")
SETTINGS_DAMAGED = ErrorSpec(
    "settings_damaged", "The settings file was damaged, so the defaults are in force.",
    "The damaged file is kept as {backup}.", Remedy.OPEN_SETTINGS)
SETTINGS_UNWRITABLE = ErrorSpec(
    "settings_unwritable", "The settings cannot be saved in {folder}: {reason}.",
    "Check the free space and the permissions of that folder, or use another one (--data-dir).")
SETTING_INVALID = ErrorSpec(
    "setting_invalid", "“{value}” is not a valid value for {label}.", "{hint}")
SETTING_UNKNOWN = ErrorSpec(
    "setting_unknown", "There is no setting called {key}.", "See `localai-app settings` for the list.")

# --- signed documents: releases and runtime packs ----------------------------------------------
TRUST_DATA_DAMAGED = ErrorSpec(
    "trust_data_damaged", "The file {file} with the keys of this program's publishers is damaged.", "Install Local AI again.")
NOTHING_TO_ASK = ErrorSpec(
    "nothing_to_ask", "This copy of Local AI was built without an address to ask for its {what}.",
    "Get what you need where you got this copy; one that was built from source is renewed with `git pull`.")
STAYS_OFFLINE = ErrorSpec(
    "stays_offline", "Nothing was asked of {host}, because HF_HUB_OFFLINE tells Local AI to stay offline.",
    "Remove that variable from the environment, and start Local AI again.")
SOURCE_UNREACHABLE = ErrorSpec(
    "source_unreachable", "{host} cannot be reached.", "Check the internet connection and the proxy, then try again.",
    Remedy.RETRY)
SOURCE_REFUSED = ErrorSpec(
    "source_refused", "{host} refused the request with status {status}.", "Try again in a few hours.", Remedy.RETRY)
SOURCE_BAD_ANSWER = ErrorSpec(
    "source_bad_answer", "{host} sent something else than was asked for: {reason}.",
    "Log in to this network with a browser if it asks for that, check the proxy, then try again.", Remedy.RETRY)
SIGNED_DOCUMENT_INVALID = ErrorSpec(
    "signed_document_invalid", "The {what} cannot be read: {reason}.",
    "Nothing of it was used; try again later, or get the newest Local AI by hand.", Remedy.RETRY)
SIGNATURE_INVALID = ErrorSpec(
    "signature_invalid", "The {what} is not signed by the publishers of Local AI: {reason}.",
    "Nothing of it was used; try again in another network, and report it if it happens there too.")
SIGNED_DOCUMENT_EXPIRED = ErrorSpec(
    "signed_document_expired", "The {what} was good until {date} and is not believed any more.",
    "Check the clock of this computer, then try again later.", Remedy.RETRY)
SIGNED_DOCUMENT_ROLLED_BACK = ErrorSpec(
    "signed_document_rolled_back", "The {what} is older than the one that was seen before.",
    "Nothing of it was used; try again later or in another network.", Remedy.RETRY)
DOWNLOAD_DAMAGED = ErrorSpec(
    "download_damaged", "{name} is not the file that its publishers signed: {reason}.",
    "It was removed; download it again.", Remedy.DOWNLOAD_AGAIN)
NO_ROOM_FOR_FILE = ErrorSpec(
    "no_room_for_file", "There is not enough free space for {name} in {folder}: {needed} needed, {free} free.",
    "Free some space on that disk, then try again.", Remedy.RETRY)
FOLDER_UNUSABLE = ErrorSpec(
    "folder_unusable", "{name} cannot be written in {folder}: {reason}.",
    "Check the permissions of that folder and its disk, then try again.", Remedy.RETRY)
UPDATES_OFF = ErrorSpec(
    "updates_off", "Looking for newer versions is turned off, so nobody was asked.",
    "Turn on “Look for newer versions” in the settings.", Remedy.OPEN_SETTINGS)
UPDATE_FROM_SOURCE = ErrorSpec(
    "update_from_source", "This copy of Local AI runs from its source and is not renewed by an installer.",
    "Run `git pull` in its folder, then `python3 dev.py run`.")
UPDATE_NOT_FOR_THIS = ErrorSpec(
    "update_not_for_this", "Local AI {version} has no file for this installation ({platform}).",
    "Get it where you got this copy.")
UPDATE_NEEDS_NEWER_SYSTEM = ErrorSpec(
    "update_needs_newer_system", "Local AI {version} needs {system}, and this computer has an older one.",
    "Keep this version, or renew the system first.")
UPDATE_CHANGED = ErrorSpec(
    "update_changed", "{name} is no longer the file that was downloaded and verified.", "It was removed; download it again.",
    Remedy.DOWNLOAD_AGAIN)
UPDATE_NOT_STARTED = ErrorSpec(
    "update_not_started", "The installation of {name} could not be started: {reason}.", "Open it yourself: {path}")
NO_NEWER_VERSION = ErrorSpec(
    "no_newer_version", "There is no newer version than {version}.", "There is nothing to do.")

# --- runtime packs -----------------------------------------------------------------------------
PACK_BUSY = ErrorSpec(
    "pack_busy", "Another Local AI is installing or removing a runtime pack.", "Wait until it is done, then try again.",
    Remedy.RETRY)
PACK_UNKNOWN = ErrorSpec(
    "pack_unknown", "There is no runtime pack {name}.", "See `localai-app packs list` for the packs that there are.")
PACK_UNFIT = ErrorSpec(
    "pack_unfit", "The runtime pack {label} is of no use to this computer. {reason}", "Nothing was changed.")
PACK_REFUSED = ErrorSpec(
    "pack_refused", "The runtime pack {label} was refused: {reason}.",
    "Nothing of it was used, and what ran before still runs.", Remedy.RETRY)
PACK_TEST_FAILED = ErrorSpec(
    "pack_test_failed", "The runtime pack {label} did not pass its test here: {reason}.",
    "It was taken away again, and what ran before still runs.", Remedy.SHOW_LOG)
PACK_ROLLED_BACK = ErrorSpec(
    "pack_rolled_back", "Version {version} of the runtime pack {label} failed: {reason}.",
    "Version {previous} is used again, and the failed one was taken away.", Remedy.SHOW_LOG)

# --- computers on paper ------------------------------------------------------------------------
GPU_UNKNOWN = ErrorSpec(
    "gpu_unknown", "No GPU called {name} is in the table.", "See `localai-app what-if --list` for all of them.")
GPU_AMBIGUOUS = ErrorSpec(
    "gpu_ambiguous", "Several GPUs are called {name}.", "Name one of them: {choices}.")
MACHINE_INVALID = ErrorSpec(
    "machine_invalid", "There is no such computer: {reason}.", "Change that figure.")

# --- files given by the user -------------------------------------------------------------------
FILE_UNREADABLE = ErrorSpec(
    "file_unreadable", "The file {name} cannot be read: {reason}.", "Check its name and permissions.")
FILE_UNWRITABLE = ErrorSpec(
    "file_unwritable", "The file {name} cannot be written: {reason}.", "Choose another folder.")
OUTPUT_UNWRITABLE = ErrorSpec(
    "output_unwritable", "What was to be printed cannot be written: {reason}.",
    "Free some space where it goes, or send it somewhere else.")
COMPARISON_FILE_INVALID = ErrorSpec(
    "comparison_file_invalid", "The file {name} cannot be imported: {reason}.",
    "Choose a file that was exported from a comparison as JSON.")
FILE_INVALID = ErrorSpec(
    "file_invalid", "The file {name} is not a valid {kind} file: {reason}.", "Correct the file, or leave the option out.")


def all_specs() -> tuple[ErrorSpec, ...]:
    """Every declared way to fail, in the order of this file."""
    return tuple(value for value in globals().values() if isinstance(value, ErrorSpec))
