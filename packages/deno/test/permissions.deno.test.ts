import * as Api from "@effect-k8s/core/Api"
import { Pod } from "@effect-k8s/core/apis/core/v1"
import * as DenoKube from "@effect-k8s/deno/DenoKube"
import * as TestCluster from "@effect-k8s/testing/TestCluster"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const script = fileURLToPath(new URL("permissions/main.ts", import.meta.url))

interface Outcome {
  readonly value?: string
  readonly tag?: string
  readonly reason?: string
  readonly flag?: string
  readonly message?: string
}

interface Output {
  readonly success: boolean
  readonly stdout: Uint8Array
  readonly stderr: Uint8Array
}

interface DenoGlobal {
  readonly Command: new(
    command: string,
    options: { readonly args: Array<string>; readonly env: Record<string, string> }
  ) => { readonly output: () => Promise<Output> }
}

const decoder = new TextDecoder()

/** What becomes of a program in a Deno of its own, with no more than these permissions. */
const run = async (
  flags: ReadonlyArray<string>,
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {}
): Promise<Outcome> => {
  // Deno takes what node:child_process starts by the path of Deno for a script of Node's, and allows it everything.
  const { Deno } = globalThis as typeof globalThis & { readonly Deno: DenoGlobal }
  const options = ["run", "--quiet", "--no-prompt", "--node-modules-dir=manual", ...flags, script, ...args]
  const { stderr, stdout, success } = await new Deno.Command(process.execPath, { args: options, env: { ...env } })
    .output()
  assert.isTrue(success, decoder.decode(stderr))
  return JSON.parse(decoder.decode(stdout)) as Outcome
}

const server = async <A>(use: (url: string, host: string) => Promise<A>): Promise<A> => {
  const listening = Http.createServer((_, response) => response.end("{}"))
  listening.on("upgrade", (_, socket) => socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"))
  await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve))
  const host = `127.0.0.1:${(listening.address() as AddressInfo).port}`
  try {
    return await use(`http://${host}`, host)
  } finally {
    listening.closeAllConnections()
    listening.close()
  }
}

const proxyVariables = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"].flatMap((name) => [name, name.toLowerCase()])

describe("without permission", () => {
  for (const [channel, value] of [["http", "200"], ["streaming", "200"], ["upgrade", "Refused"]] as const) {
    it(`${channel} fails with the flag for the server, which is enough`, () =>
      server(async (url, host) => {
        const { flag, message, reason, tag } = await run([], [channel, url])
        assert.deepStrictEqual([tag, reason, flag], ["TransportError", "PermissionDenied", `--allow-net=${host}`])
        assert.include(message, `--allow-net=${host}`)
        assert.deepStrictEqual(await run([`--allow-net=${host}`], [channel, url]), { value })
      }))

    it(`${channel} fails with the flag for the name of the server, which is enough`, () =>
      server(async (byAddress) => {
        const { host, href } = new URL(byAddress.replace("127.0.0.1", "localhost"))
        const { flag, reason } = await run([], [channel, href])
        assert.deepStrictEqual([reason, flag], ["PermissionDenied", `--allow-net=${host}`])
        assert.deepStrictEqual(await run([`--allow-net=${host}`], [channel, href]), { value })
      }))

    it(`${channel} fails with the flag for the proxy, although the server is allowed`, () =>
      server(async (url, host) => {
        const { flag, reason } = await run([`--allow-net=${host}`], [channel, url, "http://127.0.0.1:3128"])
        assert.deepStrictEqual([reason, flag], ["PermissionDenied", "--allow-net=127.0.0.1:3128"])
      }))
  }

  it("the kubeconfig fails with the flag for the file, then for a variable; both are enough", async () => {
    const folder = mkdtempSync(join(tmpdir(), "effect-k8s-deno-"))
    try {
      const file = join(folder, "config")
      writeFileSync(
        file,
        JSON.stringify({
          "current-context": "a",
          contexts: [{ name: "a", context: { cluster: "a", user: "a" } }],
          clusters: [{ name: "a", cluster: { server: "http://127.0.0.1:7999" } }],
          users: [{ name: "a", user: { token: "a-token" } }]
        })
      )
      const args = ["kubeconfig", `file://${file}`]
      const read = `--allow-read=${file}`
      const unread = await run([], args)
      assert.deepStrictEqual([unread.tag, unread.reason], ["KubeConfigError", "FileUnreadable"])
      assert.include(unread.message, read)
      const unset = await run([read], args)
      assert.deepStrictEqual([unset.tag, unset.reason], ["KubeConfigError", "EnvironmentUnreadable"])
      assert.include(unset.message, "--allow-env=HTTP_PROXY")
      assert.deepStrictEqual(await run([read, `--allow-env=${proxyVariables.join()}`], args), { value: "built" })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it("the default client fails with the flag for the variable that it wants to read", async () => {
    const first = await run([], ["layer", "http://x"])
    assert.deepStrictEqual([first.tag, first.reason], ["KubeConfigError", "EnvironmentUnreadable"])
    assert.include(first.message, "--allow-env=KUBECONFIG")
    assert.include((await run(["--allow-env=KUBECONFIG"], ["layer", "http://x"])).message, "--allow-env=HOME")
  })

  it("in a pod the flags for its variables, and for the folder of its service account, are told and enough", async () => {
    const home = mkdtempSync(join(tmpdir(), "effect-k8s-deno-"))
    try {
      const env = { HOME: home, KUBERNETES_SERVICE_HOST: "127.0.0.1", KUBERNETES_SERVICE_PORT: "1" }
      const folder = "/var/run/secrets/kubernetes.io/serviceaccount"
      const kubeconfig = `--allow-read=${join(home, ".kube", "config")}`
      const flags = [kubeconfig, "--allow-env=KUBECONFIG,HOME"]
      const unset = await run(flags, ["layer", "http://x"], env)
      assert.include(unset.message, "--allow-env=KUBERNETES_SERVICE_HOST")
      const variables = `--allow-env=KUBECONFIG,HOME,POD_NAMESPACE,${Object.keys(env).join()}`
      const unread = await run([kubeconfig, variables], ["layer", "http://x"], env)
      assert.strictEqual(unread.reason, "ReferencedFileUnreadable")
      assert.include(unread.message, `--allow-read=${folder}/token`)
      // Nobody has mounted one here, and that is all that is said any more.
      const none = await run([`${kubeconfig},${folder}`, variables], ["layer", "http://x"], env)
      assert.strictEqual(none.reason, "NoConfiguration")
      assert.include(none.message, `${folder}/token missing`)
    } finally {
      rmSync(home, { recursive: true })
    }
  })

  it.live("the flags of a kubeconfig are enough for a request and a channel, by mutual TLS", () =>
    Effect.gen(function*() {
      const { kubeconfigText, url } = yield* TestCluster.TestCluster
      yield* Api.make(Pod).create({
        metadata: { name: "p" },
        spec: { containers: [{ name: "main", image: "busybox" }] }
      })
      yield* Effect.repeat(Api.make(Pod).get("p"), {
        until: ({ status }) => status.phase === "Running",
        schedule: Schedule.spaced("10 millis")
      })
      const fs = yield* FileSystem.FileSystem
      const file = yield* fs.makeTempFileScoped({ prefix: "effect-k8s-deno-" })
      yield* fs.writeFileString(file, kubeconfigText(), { mode: 0o600 })
      const flags = [
        `--allow-net=${url.host}`,
        `--allow-read=${file}`,
        `--allow-env=KUBECONFIG,${proxyVariables.join()}`
      ]
      const outcome = yield* Effect.promise(() => run(flags, ["use", "http://x"], { KUBECONFIG: file }))
      assert.deepStrictEqual(outcome, { value: "p\n" })
    }).pipe(
      Effect.scoped,
      Effect.provide(TestCluster.layerClient().pipe(Layer.provideMerge(DenoKube.layerServices)))
    ))

  // Below those that the system gives to whoever asks for none in particular, so that no neighbour has it by chance.
  for (const port of [0, 27_811]) {
    it(`listening at ${port === 0 ? "a free port" : "a port"} fails with the flag for the address, which is enough`, async () => {
      const args = ["listen", "http://x", String(port)]
      const flag = `--allow-net=127.0.0.1:${port}`
      const { message, ...refused } = await run([], args)
      assert.deepStrictEqual(refused, { tag: "ListenError", flag })
      assert.include(message, flag)
      assert.deepStrictEqual(await run([flag], args), { value: "listening" })
    })
  }

  it("a local process fails with the flag for the environment, then for the program; both are enough", async () => {
    const args = ["spawn", "http://x"]
    const environment = await run([], args)
    assert.deepStrictEqual([environment.tag, environment.reason], ["PlatformError", "PermissionDenied"])
    assert.match(environment.message ?? "", /--allow-env$/)
    const program = await run(["--allow-env"], args)
    assert.deepStrictEqual([program.tag, program.reason], ["PlatformError", "PermissionDenied"])
    assert.match(program.message ?? "", /--allow-run=true$/)
    assert.deepStrictEqual(await run(["--allow-env", "--allow-run=true"], args), { value: "0" })
  })
})
