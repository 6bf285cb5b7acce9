/**
 * Which file a command's first word means, and the runtime's words when it means none.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"

/** Where a program is looked for. */
export interface Place {
  /** The search path, as in `PATH`. */
  readonly path: string
  /** The working directory, for a name with a slash. */
  readonly cwd: string
  /** The container's own directory. */
  readonly home: string
  /** The programs of its image, if they are limited. */
  readonly programs?: ReadonlyArray<string> | undefined
}

/** The file that would run. */
export interface Found {
  readonly _tag: "Found"
  readonly file: string
}

/** There is nothing to run, in the runtime's words: the runtime itself fails, and nothing is started. */
export interface Unusable {
  readonly _tag: "Unusable"
  readonly why: string
}

/**
 * The kernel will not run the file, which the runtime's helper finds out when it is too late for the runtime to say
 * so: it writes this to stderr and exits with 1.
 */
export interface NotRunnable {
  readonly _tag: "NotRunnable"
  readonly why: string
}

/** What was found. */
export type Resolved = Found | Unusable | NotRunnable

const isFile = (file: string): boolean => Fs.statSync(file, { throwIfNoEntry: false })?.isFile() === true

const isExecutable = (file: string): boolean => {
  try {
    Fs.accessSync(file, Fs.constants.X_OK)
    return isFile(file)
  } catch {
    return false
  }
}

/** The first executable file of a name on a search path. */
export const search = (name: string, path: string): string | undefined =>
  path.split(":").filter((directory) => directory !== "").map((directory) => Path.join(directory, name)).find(
    isExecutable
  )

// `#!`, ELF, and the kinds of Mach-O. What begins otherwise no kernel runs; a C library's `execvp` gives it to `sh`.
const magic = ["2321", "7f454c46", "cffaedfe", "cefaedfe", "cafebabe", "feedfacf"]

const hasFormat = (file: string): boolean => {
  const bytes = Buffer.alloc(4)
  try {
    const descriptor = Fs.openSync(file, "r")
    try {
      Fs.readSync(descriptor, bytes, 0, 4, 0)
    } finally {
      Fs.closeSync(descriptor)
    }
  } catch {
    // Not for us to read is no reason why the kernel should not.
    return true
  }
  return magic.some((start) => bytes.toString("hex").startsWith(start))
}

const isAllowed = (file: string, place: Place): boolean =>
  place.programs === undefined || place.programs.includes(Path.basename(file)) ||
  !Path.relative(place.home, file).startsWith("..")

/** What a command's first word means. */
export const resolve = (name: string, place: Place): Resolved => {
  const found = name.includes("/") ? at(name, place) : inPath(name, place)
  if (found._tag === "Found" && !hasFormat(found.file)) {
    return { _tag: "NotRunnable", why: `exec ${name}: exec format error` }
  }
  return found
}

const inPath = (name: string, place: Place): Resolved => {
  const file = name === "" ? undefined : search(name, place.path)
  return file === undefined
    ? { _tag: "Unusable", why: `exec: "${name}": executable file not found in $PATH` }
    : { _tag: "Found", file }
}

const at = (name: string, place: Place): Resolved => {
  const file = Path.resolve(place.cwd, name)
  if (!isAllowed(file, place) || !Fs.existsSync(file)) {
    return { _tag: "Unusable", why: `exec: "${name}": stat ${name}: no such file or directory` }
  }
  return isExecutable(file) ? { _tag: "Found", file } : { _tag: "Unusable", why: `exec: "${name}": permission denied` }
}
