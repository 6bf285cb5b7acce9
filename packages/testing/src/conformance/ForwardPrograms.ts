/**
 * What listens in the pod that rows on forwarded ports ask for: HTTP at one port, and at another a program that does
 * what the first line of a connection says.
 *
 * - `echo`: gives back what comes.
 * - `late SECONDS`: waits, says `late`, and ends.
 * - `pour BYTES`: sends so many zeros, and ends.
 * - `swallow SECONDS`: reads nothing more, and is gone after so long; never unless told.
 * - `reset`: ends after a moment; what was not read makes it a reset.
 * - `count`: counts the bytes that come, to their end.
 * - `GET`: a request of HTTP, which is answered with an upgrade to the protocol `echo`.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Net from "node:net"
import { closedPort } from "../contract/Peer.ts"

/** The ports of the pod. */
export interface Ports {
  readonly http: number
  readonly lab: number
  /** Nobody listens there. */
  readonly refused: number
}

/** The ports of a pod with a network of its own. */
export const ownPorts: Ports = { http: 8080, lab: 9090, refused: 7777 }

/** Ports that are free on this machine, whose network the pods of a TestCluster share. */
export const freePorts: Effect.Effect<Ports> = Effect.map(
  Effect.promise(async () => {
    const servers = await Promise.all(
      Array.from({ length: 2 }, () =>
        new Promise<Net.Server>((resolve) => {
          const server = Net.createServer().listen(0, "127.0.0.1", () => resolve(server))
        }))
    )
    const ports = servers.map((server) => (server.address() as Net.AddressInfo).port)
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
    return ports
  }),
  ([http = 0, lab = 0]) => ({ http, lab, refused: closedPort })
)

/** Waits until the programs listen, for those whose ports are on this machine. */
export const listening = ({ http, lab }: Ports): Effect.Effect<void> =>
  Effect.forEach([http, lab], (port) =>
    Effect.callback<boolean>((resume) => {
      const socket = Net.connect({ port, host: "127.0.0.1" })
      const settle = (isThere: boolean): void => {
        socket.destroy()
        resume(Effect.succeed(isThere))
      }
      socket.once("connect", () => settle(true)).once("error", () => settle(false))
      return Effect.sync(() => socket.destroy())
    }).pipe(Effect.repeat({ schedule: Schedule.spaced("20 millis"), until: (isThere) => isThere })), {
    discard: true
  })

const lab = `read -r word arg
case "$word" in
echo) exec cat ;;
late) sleep "$arg"; echo late ;;
pour) exec head -c "$arg" /dev/zero ;;
swallow) exec sleep "\${arg:-1000}" ;;
reset) sleep 0.5 ;;
count) exec wc -c ;;
GET)
  while read -r line && [ "$line" != "$(printf "\\r")" ]; do :; done
  printf "HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: echo\\r\\n\\r\\n"
  exec cat ;;
esac`

/** For busybox. */
export const busybox = ({ http, lab: port }: Ports): ReadonlyArray<string> => [
  "sh",
  "-c",
  `mkdir -p /tmp/www; echo hello > /tmp/www/index.html; httpd -p ${http} -h /tmp/www; ` +
  `exec nc -ll -p ${port} -e sh -c '${lab.replaceAll("'", `'"'"'`)}'`
]

const script = `
const net = require("node:net"), http = require("node:http")
const [httpPort, labPort] = process.argv.slice(-2).map(Number)
http.createServer((request, response) => {
  const found = request.url === "/" || request.url === "/index.html"
  response.writeHead(found ? 200 : 404, { "content-type": "text/html" }).end(found ? "hello\\n" : "no\\n")
}).listen(httpPort, "127.0.0.1")
const zeros = Buffer.alloc(65536)
const commands = {
  echo: (socket, _, rest) => { socket.write(rest); socket.pipe(socket) },
  late: (socket, seconds) => { socket.resume(); setTimeout(() => socket.end("late\\n"), 1000 * seconds) },
  pour: (socket, bytes) => {
    let left = Number(bytes)
    socket.resume()
    const more = () => {
      while (left > 0 && !socket.destroyed) {
        const size = Math.min(left, zeros.length)
        left -= size
        if (!socket.write(zeros.subarray(0, size))) return void socket.once("drain", more)
      }
      socket.end()
    }
    more()
  },
  swallow: (socket, seconds) => { if (seconds) setTimeout(() => socket.destroy(), 1000 * seconds) },
  reset: (socket) => setTimeout(() => socket.resetAndDestroy(), 500),
  count: (socket, _, rest) => {
    let size = rest.length
    socket.on("data", (chunk) => (size += chunk.length)).on("end", () => socket.end(size + "\\n"))
  },
  GET: (socket, _, rest) => {
    let head = rest.toString("latin1")
    const upgrade = () => {
      const end = head.indexOf("\\r\\n\\r\\n")
      if (end < 0) return void socket.once("data", (chunk) => { head += chunk.toString("latin1"); upgrade() })
      socket.write("HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: echo\\r\\n\\r\\n")
      socket.write(Buffer.from(head.slice(end + 4), "latin1"))
      socket.pipe(socket)
    }
    upgrade()
  }
}
net.createServer({ allowHalfOpen: true }, (socket) => {
  socket.on("error", () => {})
  let head = Buffer.alloc(0)
  const onReadable = () => {
    const chunk = socket.read()
    if (chunk === null) return
    head = Buffer.concat([head, chunk])
    const end = head.indexOf("\\n")
    if (end < 0) return
    socket.off("readable", onReadable)
    const [word, argument] = head.subarray(0, end).toString().split(" ")
    const rest = head.subarray(end + 1)
    if (commands[word] === undefined) socket.end()
    else commands[word](socket, argument, rest)
  }
  socket.on("readable", onReadable)
}).listen(labPort, "127.0.0.1")
`

/** For the runtime that this is; Deno takes `-e` of its own children for Node's. */
export const node = ({ http, lab: port }: Ports): ReadonlyArray<string> => [
  process.execPath,
  "-e",
  script,
  String(http),
  String(port)
]
