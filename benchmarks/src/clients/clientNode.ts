/**
 * `@kubernetes/client-node`, as its examples use it.
 */
import * as k8s from "@kubernetes/client-node"
import { PassThrough, Readable, Writable } from "node:stream"
import type { WebSocket } from "ws"
import * as Pattern from "../shared/Pattern.ts"
import * as Usage from "../shared/Usage.ts"
import * as Words from "../shared/Words.ts"
import type { Work } from "../shared/Work.ts"
import * as Client from "./Client.ts"
import type { Forward } from "./Forwarded.ts"

const pieceBytes = 64 * 1024

/** The pattern as views of one memory, which is what its handler copies from. */
function* buffers(bytes: number): Generator<Buffer> {
  for (const piece of Pattern.pieces(bytes, pieceBytes)) {
    yield Buffer.from(piece.buffer, piece.byteOffset, piece.length)
  }
}

const discard = (): Writable => new Writable({ write: (_chunk, _encoding, done) => done() })

const into = (take: (chunk: Uint8Array) => void): Writable =>
  new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      take(chunk)
      done()
    }
  })

const closed = (socket: WebSocket): Promise<void> =>
  new Promise((resolve) => socket.addEventListener("close", () => resolve(), { once: true }))

await Client.main(async (work) => {
  const config = new k8s.KubeConfig()
  config.loadFromFile(work.kubeconfig)
  config.setCurrentContext(work.context)
  const exec = new k8s.Exec(config)
  const { container, name, namespace } = work.pod

  /** Runs a command to its end. */
  const run = (words: Array<string>, stdout: Writable, stdin: Readable | null): Promise<void> =>
    new Promise((resolve, reject) => {
      exec.exec(namespace, name, container, words, stdout, discard(), stdin, false, (status) => {
        if (status.status === "Success") resolve()
        else reject(new Error(`client-node: status ${JSON.stringify(status)}`))
      }).catch(reject)
    })

  const source = ({ bytes }: Work): Readable => Readable.from(buffers(bytes), { objectMode: false })

  const forward = async (): Promise<Forward> => {
    const forwarding = new k8s.PortForward(config)
    // One upgraded connection for each forwarded one is all that it has.
    const open = async (port: number, take: (chunk: Uint8Array) => void, input: Readable) => {
      const errors = into((chunk) => {
        if (chunk.length > 0) throw new Error(`client-node: ${Buffer.from(chunk).toString()}`)
      })
      // Its declarations leave the type of what is inside to a package that it does not bring.
      const socket: WebSocket | (() => WebSocket | null) = await forwarding.portForward(
        namespace,
        name,
        [port],
        into(take),
        errors,
        input
      )
      if (typeof socket === "function") throw new Error("client-node: no socket")
      return socket
    }
    return {
      exchange: async (port, chunks, take) => {
        // It ends the connection with its input, so that has no end.
        const input = new PassThrough()
        const socket = await open(port, take, input)
        const end = closed(socket)
        for (const chunk of chunks) {
          if (!input.write(chunk)) await new Promise((resolve) => input.once("drain", resolve))
        }
        await end
      },
      connect: async (port) => {
        const input = new PassThrough()
        let socket: WebSocket | undefined
        await new Promise<void>((resolve, reject) => {
          open(port, (chunk) => {
            if (chunk.length > 0) resolve()
          }, input).then((opened) => {
            socket = opened
            input.write(Uint8Array.of(7))
          }, reject)
        })
        return async () => {
          socket?.close()
        }
      },
      stall: async (port, chunk) => {
        const input = new PassThrough()
        // A consumer that is busy with the first chunk: it never calls back.
        await forwarding.portForward(namespace, name, [port], new Writable({ write: () => {} }), null, input)
        input.write(chunk)
      }
    }
  }

  return {
    stdout: (work, take) => run(Words.out(work), into(take), null),
    stdin: async (work) => {
      let answer = ""
      await run(
        Words.into(work),
        into((chunk) => {
          answer += Buffer.from(chunk).toString()
        }),
        source(work)
      )
      return answer
    },
    duplex: (work, take) => run(Words.echo(work), into(take), source(work)),
    stalled: (work) =>
      new Promise((resolve, reject) => {
        // A consumer that takes the first chunk and is then busy: it calls back later.
        const stdout = new Writable({ write: () => setTimeout(resolve, work.stallMillis) })
        run(Words.out(work), stdout, null).catch(reject)
      }),
    roundTrips: (work) =>
      new Promise((resolve, reject) => {
        const keys = new PassThrough()
        const times: Array<number> = []
        let begun = 0
        const send = (): void => {
          begun = performance.now()
          keys.write(Uint8Array.of(7))
        }
        const stdout = new Writable({
          write: (chunk: Buffer, _encoding, done) => {
            done()
            if (chunk.length === 0) return
            times.push(performance.now() - begun)
            if (times.length < work.count) return send()
            keys.end()
            resolve(times)
          }
        })
        run(Words.echo(work), stdout, keys).catch(reject)
        send()
      }),
    noops: (work) => Usage.laps(work.count, () => run([...Words.noop], discard(), null)),
    lists: async ({ count, namespace }) => {
      const pods = config.makeApiClient(k8s.CoreV1Api)
      let items = 0
      const laps = await Usage.laps(count, async () => {
        items = (await pods.listNamespacedPod({ namespace })).items.length
      })
      return { laps, items }
    },
    forward
  }
})
