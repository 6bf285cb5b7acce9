/**
 * `@kubernetes/client-node`, as its examples use it.
 */
import * as k8s from "@kubernetes/client-node"
import { readFileSync } from "node:fs"
import { PassThrough, Readable, Writable } from "node:stream"
import * as Pattern from "../shared/Pattern.ts"
import * as Usage from "../shared/Usage.ts"
import { Command, type Work } from "../shared/Work.ts"
import * as Client from "./Client.ts"

const pieceBytes = 64 * 1024

const { version } = JSON.parse(
  readFileSync(new URL("../package.json", import.meta.resolve("@kubernetes/client-node")), "utf8")
) as { readonly version: string }

/** The pattern as views of one memory, which is what its handler copies from. */
function* buffers(bytes: number): Generator<Buffer> {
  for (const piece of Pattern.pieces(bytes, pieceBytes)) {
    yield Buffer.from(piece.buffer, piece.byteOffset, piece.length)
  }
}

const discard = (): Writable => new Writable({ write: (_chunk, _encoding, done) => done() })

await Client.main(async (work) => {
  const config = new k8s.KubeConfig()
  config.loadFromFile(work.kubeconfig)
  config.setCurrentContext(work.ca === undefined ? "plain" : "tls")
  const exec = new k8s.Exec(config)

  /** Runs a command to its end. */
  const run = (words: Array<string>, stdout: Writable, stdin: Readable | null): Promise<void> =>
    new Promise((resolve, reject) => {
      exec.exec("few", "pod-0", "main", words, stdout, discard(), stdin, false, (status) => {
        if (status.status === "Success") resolve()
        else reject(new Error(`client-node: status ${JSON.stringify(status)}`))
      }).catch(reject)
    })

  const stdin = async ({ bytes, check, rate }: Work): Promise<number> => {
    let answer = ""
    const stdout = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        answer += chunk.toString()
        done()
      }
    })
    const input = Readable.from(buffers(bytes), { objectMode: false })
    await run([Command.In, String(rate), check ? "hash" : ""], stdout, input)
    return Number(answer)
  }

  return {
    stdout: (work, take) =>
      run(
        [Command.Out, String(work.bytes), String(work.messageBytes)],
        new Writable({
          write: (chunk: Buffer, _encoding, done) => {
            take(chunk)
            done()
          }
        }),
        null
      ),
    stdin,
    stalled: (work) =>
      new Promise((resolve, reject) => {
        // A consumer that takes the first chunk and is then busy: it calls back later.
        const stdout = new Writable({ write: () => setTimeout(resolve, work.stallMillis) })
        run([Command.Out, String(work.bytes), String(work.messageBytes)], stdout, null).catch(reject)
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
        run([Command.Echo], stdout, keys).catch(reject)
        send()
      }),
    noops: (work) => Usage.laps(work.count, () => run([Command.Noop], discard(), null)),
    lists: async ({ count, namespace }) => {
      const pods = config.makeApiClient(k8s.CoreV1Api)
      let items = 0
      const laps = await Usage.laps(count, async () => {
        items = (await pods.listNamespacedPod({ namespace })).items.length
      })
      return { laps, items }
    }
  }
}, version)
