/*
 * One question and what comes of it: steps, reasoning, the answer, in the order in which they came.
 */
const make = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};

class Turn {
  /**
   * @param {string} question
   * @param {object} config see chat.js
   * @param {{grown: () => void, say: (text: string) => void, hush: () => void}} page what is told
   *   of changes, and speaks to screen readers
   */
  constructor(question, config, page) {
    this.question = question;
    this.config = config;
    this.page = page;
    this.element = make("article", "turn");
    const asked = make("p", "asked", question);
    asked.dir = "auto";
    this.reply = make("div", "reply");
    this.element.append(
      make("h2", "unseen", config.words.you),
      asked,
      make("h2", "unseen", config.words.answer),
      this.reply,
    );
    this.begin();
  }

  /** Before an attempt: nothing is there of an earlier one. */
  begin() {
    this.reply.replaceChildren();
    this.reply.setAttribute("aria-busy", "true");
    this.sections = new Map(); // predictor and field → its last run
    this.shown = []; // sections of the answer
    this.waiting = new Set(); // sections with text that is not in the page yet
    this.frame = 0;
    this.prediction = null;
    this.outcome = null;
    this.step = null;
  }

  /** The text of the answer. */
  get answer() {
    return this.shown.map((section) => section.pieces.join("")).join("\n\n");
  }

  /** One event of our format, as an object. */
  take(event) {
    if ("chunk" in event) this.takeChunk(event.chunk);
    else if ("status" in event) this.addStep(String(event.status));
    else if (typeof event.event === "string") this.addStep(event.event);
    else if ("restart" in event) this.takeRestart(event.restart);
    else if ("prediction" in event) this.prediction = event.prediction;
  }

  takeChunk(chunk) {
    const field = chunk.signature_field_name;
    const isAnswer = field === this.config.answer;
    if (!isAnswer && !this.config.reasoning.includes(field)) return;
    const key = `${chunk.predict_name}\n${field}`;
    let section = this.sections.get(key);
    if (!section || section.ended) {
      if (!chunk.chunk && chunk.is_last_chunk) return; // an empty field
      section = this.open(isAnswer);
      section.predictor = chunk.predict_name;
      section.field = field;
      this.sections.set(key, section);
    }
    if (chunk.chunk != null) this.add(section, typeof chunk.chunk === "string" ? chunk.chunk : JSON.stringify(chunk.chunk));
    if (chunk.is_last_chunk) this.close(section);
  }

  open(isAnswer) {
    this.endStep();
    const section = { pieces: [], unseen: [], ended: false };
    if (isAnswer) {
      section.body = this.reply.appendChild(make("div", "answer"));
      this.shown.push(section);
    } else {
      section.fold = this.fold();
      section.body = section.fold.appendChild(make("div", "thoughts"));
    }
    // A block at a time is read out: single words would cut one another off.
    section.prose = new Prose(section.body, isAnswer ? this.page.say : undefined);
    return section;
  }

  /** Where reasoning goes: what follows other reasoning, with that. */
  fold() {
    let fold = this.reply.lastElementChild;
    if (!fold?.matches(".reasoning")) {
      fold = this.reply.appendChild(make("details", "reasoning"));
      fold.append(make("summary"));
      this.page.say(this.config.words.thinking);
    }
    this.setLive(fold, true);
    return fold;
  }

  setLive(fold, live) {
    fold.classList.toggle("live", live);
    fold.firstElementChild.textContent = this.config.words[live ? "thinking" : "reasoning"];
  }

  add(section, text) {
    section.pieces.push(text);
    section.unseen.push(text);
    this.waiting.add(section);
    if (document.hidden) this.show(); // there are no frames to wait for
    else this.frame ||= requestAnimationFrame(() => this.show());
  }

  /** Put into the page what has come since the last frame. */
  show() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    for (const section of this.waiting) {
      section.prose.append(section.unseen.join(""));
      section.unseen = [];
    }
    this.waiting.clear();
    this.page.grown();
  }

  close(section) {
    if (section.ended) return;
    this.show();
    section.ended = true;
    section.prose.end();
    if (section.fold) this.setLive(section.fold, false);
  }

  /** What came of a field is void: of all fields of its predictor, where none is named. */
  takeRestart({ predict_name: predictor, signature_field_name: field }) {
    let dropped = false;
    for (const [key, section] of this.sections) {
      if (section.predictor !== predictor || (field != null && section.field !== field)) continue;
      this.sections.delete(key);
      this.waiting.delete(section);
      section.body.remove();
      if (section.fold?.childElementCount === 1) section.fold.remove(); // its summary alone
      this.shown = this.shown.filter((each) => each !== section);
      dropped = true;
    }
    if (!dropped) return;
    this.page.hush();
    this.addStep(this.config.words.restarted);
  }

  addStep(text) {
    this.show();
    this.endStep();
    let list = this.reply.lastElementChild;
    if (!list?.matches("ul.steps")) list = this.reply.appendChild(make("ul", "steps"));
    this.step = list.appendChild(make("li", "live", text));
    this.step.dir = "auto";
    this.page.say(text);
    this.page.grown();
  }

  endStep() {
    this.step?.classList.remove("live");
    this.step = null;
  }

  /**
   * It is over.
   * @param {"completed" | "left" | "failed"} outcome
   */
  end(outcome) {
    const told = this.prediction?.[this.config.answer];
    if (outcome === "completed" && !this.shown.length && told != null) {
      // Nothing was streamed of it: a cached answer, or one that the program made itself.
      this.add(this.open(true), typeof told === "string" ? told : JSON.stringify(told, null, 2));
    }
    this.show();
    for (const section of [...this.sections.values(), ...this.shown]) this.close(section);
    this.endStep();
    this.outcome = outcome;
    this.reply.setAttribute("aria-busy", "false");
    this.page.grown();
  }

  /** Say how it ended where it did not end well, with a way to ask once more. */
  addNote(title, text, code, again) {
    const note = make("div", this.outcome === "failed" ? "note failure" : "note");
    if (this.outcome === "failed") note.setAttribute("role", "alert");
    const words = note.appendChild(make("div", "words"));
    words.append(make("strong", "", title));
    if (text) words.append(make("span", "", text));
    if (code) words.append(make("span", "code", code));
    const button = note.appendChild(make("button", "again", this.config.words.again));
    button.type = "button";
    button.addEventListener("click", again);
    this.reply.append(note);
    this.page.grown();
  }

  /** Only the last turn can be asked again. */
  dropButton() {
    this.reply.querySelector(".again")?.remove();
  }
}
