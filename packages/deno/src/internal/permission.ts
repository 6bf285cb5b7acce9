/**
 * Permissions of Deno: which flag grants what was refused, and services that say so in place of a defect.
 */
import * as Cause from "effect/Cause"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as PlatformError from "effect/PlatformError"
import * as ChildProcessSpawner from "effect/process/ChildProcessSpawner"
import * as Stream from "effect/Stream"
import { deno } from "./deno.ts"

/** The flag that grants what an error says was refused: `--allow-read=/a/file`; nothing for other errors. */
export const flagOf = (error: unknown): string | undefined => {
  if (!(error instanceof Error) || error.name !== "NotCapable") return undefined
  const [, what] = /access to "?([^",]+)"?,/.exec(error.message) ?? []
  const [, kind = "all"] = /--allow-([a-z]+)/.exec(error.message) ?? []
  return what === undefined ? `--allow-${kind}` : `--allow-${kind}=${what}`
}

// Deno names programs and files by what was asked for, quoted; `<PATH>` hides it from those who may not know it.
const refused = (
  module: string,
  method: string,
  cause: unknown,
  path: string | number | undefined
): PlatformError.PlatformError | undefined => {
  const flag = flagOf(cause)
  return flag === undefined ? undefined : PlatformError.systemError({
    _tag: "PermissionDenied",
    module,
    method,
    description: `this process may not do that; run it with ${flag}`,
    ...(path === undefined ? {} : { pathOrDescriptor: path }),
    cause
  })
}

const explained = (error: PlatformError.PlatformError): PlatformError.PlatformError => {
  const { reason } = error
  if (reason._tag === "BadArgument") return error
  return refused(reason.module, reason.method, reason.cause, reason.pathOrDescriptor) ?? error
}

/** A file system whose errors name the flag. */
export const fileSystem = (fs: FileSystem.FileSystem): FileSystem.FileSystem => {
  const explain = <Args extends ReadonlyArray<unknown>, A, R>(
    method: (...args: Args) => Effect.Effect<A, PlatformError.PlatformError, R>
  ) =>
  (...args: Args): Effect.Effect<A, PlatformError.PlatformError, R> => Effect.mapError(method(...args), explained)
  // What is not here is made of these.
  return FileSystem.make({
    access: explain(fs.access),
    copy: explain(fs.copy),
    copyFile: explain(fs.copyFile),
    chmod: explain(fs.chmod),
    chown: explain(fs.chown),
    link: explain(fs.link),
    lstat: explain(fs.lstat),
    makeDirectory: explain(fs.makeDirectory),
    makeTempDirectory: explain(fs.makeTempDirectory),
    makeTempDirectoryScoped: explain(fs.makeTempDirectoryScoped),
    makeTempFile: explain(fs.makeTempFile),
    makeTempFileScoped: explain(fs.makeTempFileScoped),
    open: explain(fs.open),
    readDirectory: explain(fs.readDirectory),
    readDirectoryEntries: explain(fs.readDirectoryEntries),
    readFile: explain(fs.readFile),
    readLink: explain(fs.readLink),
    realPath: explain(fs.realPath),
    remove: explain(fs.remove),
    rename: explain(fs.rename),
    stat: explain(fs.stat),
    symlink: explain(fs.symlink),
    truncate: explain(fs.truncate),
    utimes: explain(fs.utimes),
    writeFile: explain(fs.writeFile),
    watch: (path, options) => Stream.mapError(fs.watch(path, options), explained)
  })
}

/** A spawner whose errors name the flag. Node's way to spawn reads the whole environment, and throws where it may not. */
export const spawner = (
  { spawn }: ChildProcessSpawner.ChildProcessSpawner["Service"]
): ChildProcessSpawner.ChildProcessSpawner["Service"] =>
  ChildProcessSpawner.make((command) =>
    spawn(command).pipe(
      Effect.mapError(explained),
      Effect.catchCause((cause) => {
        const error = Cause.squash(cause)
        const denied = refused("ChildProcess", "spawn", error, undefined)
        return denied === undefined ? Effect.failCause(cause) : Effect.fail(denied)
      })
    )
  )

/**
 * The environment, a variable at a time, so that `--allow-env=KUBECONFIG,HOME` is enough. Effect's own provider reads
 * all of it at once.
 */
export const environment: ConfigProvider.ConfigProvider = ConfigProvider.make((path) =>
  Effect.try({
    try: () => {
      const value = deno.env.get(path.join("_"))
      return value === undefined ? undefined : ConfigProvider.makeValue(value)
    },
    catch: (cause) =>
      new ConfigProvider.SourceError({ message: `run this process with ${flagOf(cause) ?? "--allow-env"}`, cause })
  })
)
