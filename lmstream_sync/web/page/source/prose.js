/*
 * Text of a model, shown as it grows. Every character goes into the page as text, never as HTML;
 * the little markup that models write (paragraphs, code fences, headings, lists, **strong**,
 * `code`) becomes elements made here. Links and pictures stay text: nobody is led anywhere.
 *
 * What has been shown is not touched again, so the work for a piece does not grow with the
 * answer. Only what cannot be told yet is held back: the mark a line may begin with, and the
 * asterisks or backticks at the end of a piece.
 */
const MARK_TO_COME = /^[ \t]*(#{1,6}|-+|\*{1,3}|_+|\+|\d{1,3}[.)]?|`{1,2}|`{3,}[^`]*)?[ \t]*$/;
const NO_MARK_IS_LONGER = 120;
const NODE_FULL = 4096; // characters in one text node: appending copies it

class Prose {
  /**
   * @param {HTMLElement} root gets the blocks
   * @param {(text: string) => void} onBlock called with the text of each block that is complete
   */
  constructor(root, onBlock = () => {}) {
    this.root = root;
    this.onBlock = onBlock;
    this.held = ""; // the beginning of a line, of a kind not known yet
    this.lineBegins = true;
    this.block = null; // the element that text goes into
    this.lists = []; // those we are in, from the outermost
    this.fence = 0; // backticks that opened the code block we are in
    this.codeLines = 0;
    this.marks = ""; // asterisks or backticks at the end of the last piece
    this.before = ""; // the character before what comes next
    this.strong = null;
    this.code = null;
    this.codeMark = "";
  }

  /** The next piece. */
  append(piece) {
    let text = this.held + piece;
    this.held = "";
    if (text.endsWith("\r")) {
      // perhaps the first half of a line end
      this.held = "\r";
      text = text.slice(0, -1);
    }
    text = text.replace(/\r\n?/g, "\n");
    let at = 0;
    while (at < text.length) {
      const end = text.indexOf("\n", at);
      const rest = text.slice(at, end < 0 ? text.length : end);
      if (this.lineBegins) {
        if (end < 0 && this.isOpen(rest)) {
          this.held = rest + this.held;
          return;
        }
        this.lineBegins = false;
        const taken = this.beginLine(rest);
        if (taken < rest.length) this.write(rest.slice(taken));
      } else this.write(rest);
      if (end < 0) return;
      this.endLine();
      at = end + 1;
    }
  }

  /** Nothing more comes. */
  end() {
    const rest = this.held.replace(/\r$/, "");
    this.held = "";
    if (rest) {
      const taken = this.beginLine(rest);
      if (taken < rest.length) this.write(rest.slice(taken));
    }
    this.closeMarks();
    this.closeBlock();
  }

  isOpen(line) {
    if (line.length > NO_MARK_IS_LONGER) return false;
    return this.fence ? /^ {0,3}`*[ \t]*$/.test(line) : MARK_TO_COME.test(line);
  }

  /** Decide what a line is; gives how much of it the mark took. */
  beginLine(line) {
    if (this.fence) return this.beginCodeLine(line);
    if (/^[ \t]*$/.test(line)) {
      if (this.block) this.closeBlock();
      return line.length;
    }
    const fence = /^[ \t]*(`{3,})([^`]*)$/.exec(line);
    if (fence) {
      this.openFence(fence[1].length, fence[2].trim());
      return line.length;
    }
    if (/^[ \t]*(-{3,}|\*{3,}|_{3,})[ \t]*$/.test(line)) {
      this.open("hr");
      this.closeBlock();
      return line.length;
    }
    const heading = /^(#{1,6})[ \t]+(?=\S)/.exec(line);
    if (heading) {
      this.open(heading[1].length < 3 ? "h3" : "h4");
      return heading[0].length;
    }
    const item = /^([ \t]*)(?:[-*+]|(\d{1,3})[.)])[ \t]+(?=\S)/.exec(line);
    if (item) {
      this.openItem(item[1].replace(/\t/g, "  ").length, item[2]);
      return item[0].length;
    }
    return this.beginText(line);
  }

  beginText(line) {
    const indent = /^[ \t]*/.exec(line)[0].length;
    if (this.block && /^H/.test(this.block.tagName)) this.closeBlock();
    // Indented after a list: a further paragraph of its last item.
    if (!this.block && indent >= 2) this.block = this.lists.at(-1)?.element.lastElementChild ?? null;
    if (!this.block) this.open("p");
    else this.put("\n");
    return this.block.tagName === "LI" ? indent : 0;
  }

  beginCodeLine(line) {
    const close = /^ {0,3}(`{3,})[ \t]*$/.exec(line);
    if (close && close[1].length >= this.fence) {
      this.fence = 0;
      this.closeBlock();
      return line.length;
    }
    if (this.codeLines++) this.put("\n");
    return 0;
  }

  openFence(length, language) {
    const pre = this.open("pre");
    pre.tabIndex = 0; // it scrolls sideways, by key too
    if (language) pre.dataset.language = language.slice(0, 24);
    this.block = pre.appendChild(document.createElement("code"));
    this.fence = length;
    this.codeLines = 0;
  }

  openItem(indent, number) {
    if (this.block) this.closeBlock();
    const kind = number === undefined ? "ul" : "ol";
    const { lists } = this;
    while (lists.length > 1 && indent < lists.at(-1).indent) lists.pop();
    const last = lists.at(-1);
    if (!last || indent >= last.indent + 2 || last.element.localName !== kind) {
      if (last && indent < last.indent + 2) lists.pop(); // beside it, not inside
      const parent = lists.at(-1)?.element.lastElementChild ?? this.root;
      lists.push({ indent, element: parent.appendChild(document.createElement(kind)) });
    }
    this.block = lists.at(-1).element.appendChild(document.createElement("li"));
    this.block.dir = "auto";
    if (number !== undefined) this.block.value = Number(number);
  }

  open(tag) {
    if (this.block) this.closeBlock();
    this.lists = [];
    this.block = this.root.appendChild(document.createElement(tag));
    if (tag !== "pre") this.block.dir = "auto";
    return this.block;
  }

  closeBlock() {
    const block = this.block;
    this.block = null;
    this.before = "";
    if (block && block.textContent) this.onBlock(block.textContent);
  }

  endLine() {
    this.closeMarks();
    this.before = "\n";
    this.lineBegins = true;
  }

  /** Text inside a line. */
  write(text) {
    if (this.fence) return this.put(text);
    text = this.marks + text;
    this.marks = /[`*]*$/.exec(text.slice(-8))[0];
    this.spread(text.slice(0, text.length - this.marks.length), this.marks);
  }

  /** Text with marks in it; `next` is what comes after it. */
  spread(text, next) {
    let at = 0;
    for (const { 0: mark, index } of text.matchAll(/`+|\*+/g)) {
      this.put(text.slice(at, index));
      at = index + mark.length;
      this.takeMark(mark, text[at] ?? next[0] ?? "");
    }
    this.put(text.slice(at));
  }

  takeMark(mark, next) {
    if (this.code) {
      if (mark !== this.codeMark) return this.put(mark);
      this.code = null;
    } else if (mark[0] === "`" && mark.length < 3) {
      this.codeMark = mark;
      this.code = this.target.appendChild(document.createElement("code"));
    } else if (mark !== "**") this.put(mark);
    else if (this.strong && /\S/.test(this.before)) this.strong = null;
    else if (!this.strong && /\S/.test(next)) this.strong = this.target.appendChild(document.createElement("strong"));
    else this.put(mark);
    this.before = mark;
  }

  /** A line is over: what was opened in it and not closed was no markup, but text. */
  closeMarks() {
    const marks = this.marks;
    this.marks = "";
    if (marks) this.spread(marks, "");
    for (const [element, mark] of [
      [this.code, this.codeMark],
      [this.strong, "**"],
    ])
      if (element) element.replaceWith(mark, ...element.childNodes);
    this.code = this.strong = null;
  }

  get target() {
    if (!this.block) this.open("p");
    return this.code ?? this.strong ?? this.block;
  }

  put(text) {
    if (!text) return;
    const target = this.target;
    const last = target.lastChild;
    if (last instanceof Text && last.length < NODE_FULL) last.appendData(text);
    else target.append(text);
    this.before = text.at(-1);
  }
}
