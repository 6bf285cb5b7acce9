/**
 * Images without images: what a container finds under its image's name.
 *
 * Nothing is pulled and no root is changed: every path is the host's. What an image lacks is imitated by its search
 * path: an image with a list of programs gets a directory of links to these alone, and its containers find no others.
 */

/** An image. */
export interface Image {
  /** What runs in a container that names no command: entry point and arguments. By default it sleeps for ever. */
  readonly command?: ReadonlyArray<string> | undefined
  /**
   * The names of the programs there are: `["sh", "sleep"]` is an image without `cat`. Each must be on the host's
   * search path, or it is not there. By default everything on the host's search path is. A program that is named by a
   * path is there if its file name is in the list, or if it is in the container's own directory.
   */
  readonly programs?: ReadonlyArray<string> | undefined
  /** Environment of its containers, below what the pod says. */
  readonly env?: Readonly<Record<string, string>> | undefined
}

/** Images by name: `busybox:1`, or `busybox` for all its tags. Any other name is an image with all of the host's programs. */
export type Images = Readonly<Record<string, Image>>

const plain: Image = {}

const withoutTag = (name: string): string => name.replace(/(?:@[^/]*|:[^/]*)$/, "")

/** The image of a name. */
export const find = (images: Images, name: string): Image => {
  const own = (key: string): Image | undefined => (Object.hasOwn(images, key) ? images[key] : undefined)
  return own(name) ?? own(withoutTag(name)) ?? plain
}

/** What sleeps for ever. */
export const sleep: ReadonlyArray<string> = ["sleep", "2147483647"]
