/**
 * The benchmark server: just enough of an API server for the programs that are measured, in a process of its own.
 *
 * Started by the driver with an IPC channel. It gets its certificate, says where it listens, and then answers each
 * message with what it has seen since the last one.
 */
import * as http from "node:http"
import * as http2 from "node:http2"
import type { AddressInfo, Socket } from "node:net"
import type { ExecRecord, Ready, ServerRecord } from "../shared/Work.ts"
import * as ExecSession from "./ExecSession.ts"
import * as Resources from "./Resources.ts"

const { BENCH_CERT: cert, BENCH_KEY: key } = process.env
if (cert === undefined || key === undefined || process.send === undefined) {
  throw new Error("The benchmark server is started by the driver: run `pnpm bench`.")
}

let connections = 0
let requests = 0
let execs: Array<ExecRecord> = []

interface Writable {
  readonly writeHead: (status: number, headers: Record<string, string | number>) => unknown
  readonly end: (body: Uint8Array) => unknown
}

const answer = (url: string | undefined, response: Writable): void => {
  requests++
  const found = Resources.answer((url ?? "").replace(/\?.*$/, ""))
  const body = found?.body ??
    Buffer.from("{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"code\":404}")
  response.writeHead(found === undefined ? 404 : 200, {
    "content-type": found?.contentType ?? "application/json",
    "content-length": body.length
  })
  response.end(body)
}

const upgrade: (...parameters: Parameters<Parameters<http.Server["on"]>[1]>) => void = (request, socket, head) => {
  requests++
  ExecSession.run(request, socket, head, (record) => execs.push(record))
}

const plain = http.createServer((request, response) => answer(request.url, response))
// As real API servers: HTTP/2 for requests, HTTP/1.1 for upgrades, and the server's own order of ciphers, which is Go's
// where the processor has AES, so that every client uses the same one.
const tls = http2.createSecureServer({
  cert,
  key,
  allowHTTP1: true,
  honorCipherOrder: true,
  ciphers: "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:ECDHE-ECDSA-AES128-GCM-SHA256"
}, (request, response) => answer(request.url, response))

for (const server of [plain, tls]) {
  server.on("upgrade", upgrade)
  server.on(server === tls ? "secureConnection" : "connection", (socket: Socket) => {
    // As Go's servers do; of Node's only the plain ones do.
    socket.setNoDelay(true)
    connections++
  })
  server.on("sessionError", () => {})
}

// Go's servers let as many wait as the system does; with Node's 511, a thousand clients at once wait for repeated SYNs.
const backlog = 4096

const listen = (server: http.Server | http2.Http2SecureServer): Promise<number> =>
  new Promise((resolve) =>
    server.listen({ port: 0, host: "127.0.0.1", backlog }, () => resolve((server.address() as AddressInfo).port))
  )

const ready: Ready = { plainPort: await listen(plain), tlsPort: await listen(tls) }
process.send(ready)

let used = process.cpuUsage()
process.on("message", () => {
  const { system, user } = process.cpuUsage(used)
  used = process.cpuUsage()
  const record: ServerRecord = { cpuMillis: (system + user) / 1000, connections, requests, execs }
  connections = 0
  requests = 0
  execs = []
  process.send?.(record)
})
// The driver's end is ours.
process.on("disconnect", () => process.exit(0))
