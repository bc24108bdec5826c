# ruff: noqa: RUF001 - letters of many alphabets are what this is about
"""What every store promises of search in any language: a word of the text is found, as people would write it."""

import pytest

from gateway.domain import Session
from gateway.ports import Store
from tests.contract.store.values import ALICE, add_texts, hits

FOUND = {
    "English": ("The ferries leave at NINE o'clock.", "nine"),
    "an apostrophe": ("The ferries leave at nine o'clock.", "o'clock"),
    "a number": ("Invoice 2026-0042 is due", "2026-0042"),
    "German ß": ("Die Straße ist gesperrt.", "STRASSE"),
    "German ß in the query": ("DIE STRASSE IST GESPERRT", "straße"),
    "German umlauts without their dots": ("Das Fahrrad war für Jörg zu groß.", "fur jorg"),
    "German umlauts that the text lacks": ("Gruss aus Zurich", "Zürich"),
    "French accents": ("Un café crème à l'hôtel", "cafe creme hotel"),
    "French accents in another composition": ("Un cafe\u0301", "caf\u00e9"),
    "Turkish dotted I": ("İstanbul", "istanbul"),
    "Polish": ("Zażółć gęślą jaźń", "gesla"),
    "Russian": ("Встреча в Санкт-Петербурге завтра", "ВСТРЕЧА завтра"),
    "Russian ё": ("Ещё один самолёт", "еще самолет"),
    "Greek": ("Καλημέρα κόσμε, ο Οδυσσεύς", "ΚΑΛΗΜΕΡΑ οδυσσευσ"),
    "Arabic": ("اجتماع الفريق غدا في القاهرة", "القاهرة"),
    "Hebrew": ("הפגישה מחר בתל אביב", "מחר אביב"),
    "Persian with a joiner": ("می\u200cخواهم بروم", "میخواهم"),
    "Hindi": ("नमस्ते, बैठक कल दिल्ली में है", "दिल्ली"),
    "Tamil": ("வணக்கம் நண்பரே", "நண்பரே"),
    "Thai inside a sentence": ("ฉันต้องการจองโรงแรมในกรุงเทพ", "โรงแรม"),
    "Chinese, two characters inside a sentence": ("我想预订北京的酒店。", "北京"),
    "Chinese, two words": ("我想预订北京的酒店。", "酒店 北京"),
    "Chinese beyond the basic plane": ("他住在𠮷野家附近", "𠮷野"),
    "Japanese inside a sentence": ("明日は東京で会議があります。", "東京"),
    "Japanese kana": ("コーヒーを飲みたいです", "コーヒー"),
    "Japanese, half as wide": ("ﾎﾃﾙ ABC１２３", "ホテル abc123"),
    "Korean, a noun with its particle": ("내일 서울에서 회의가 있어요", "서울"),
    "Korean in another composition": ("\u1109\u1165\u110b\u116e\u11af", "서울"),
    "Vietnamese": ("Cuộc họp ở Hà Nội ngày mai", "ha noi"),
    "two scripts in one word": ("iPhone的价格", "iphone"),
    "full width": ("ＨＥＬＬＯ　ｗｏｒｌｄ", "hello world"),
    "a ligature": ("the oﬃce", "office"),
    "emoji beside a word": ("party🎉tonight", "tonight"),
    "right to left marks": ("\u202eabc\u202c \u2067def\u2069", "abc def"),
    "an address": ("write to jane.doe@example.test, please", "jane.doe@example.test"),
    "a path": ("see gateway/storage/words.py", "words.py"),
    "an identifier": ("call max_history_messages", "max_history_messages"),
    "German sharp S, capital": ("GROẞE", "große"),
}

NOT_FOUND = {
    "characters that do not stand together": ("京都在北方", "北京"),
    "characters in another order": ("上海", "海上"),
    "another case of a Russian word": ("Встреча", "встречу"),
    "half a Korean phrase": ("서울에서", "서에"),
    "Thai letters from two places": ("โรง แรม", "แรมโรง"),
}


@pytest.mark.parametrize("what", FOUND)
async def test_a_word_is_found_in_any_language(store: Store, session: Session, what: str) -> None:
    text, query = FOUND[what]
    await add_texts(store, session, "nothing of the kind", text)
    assert await hits(store, query) == [(session.id, 2)]


@pytest.mark.parametrize("what", NOT_FOUND)
async def test_what_is_not_there_is_not_found(store: Store, session: Session, what: str) -> None:
    text, query = NOT_FOUND[what]
    await add_texts(store, session, text)
    assert await hits(store, query) == []


@pytest.mark.parametrize(
    ("text", "query", "expected"),
    [
        ("长" * 500 + "北京" + "城" * 500, "北京", "北京"),
        ("ß" * 500 + " Straße " + "ß" * 500, "strasse", "Straße"),
        ("สวัสดี" * 100 + "โรงแรม" + "ครับ" * 100, "โรงแรม", "โรงแรม"),
        ("x" * 5000 + "," + "y" * 5000 + ",needle", "needle", "needle"),
        ("e\u0301" * 400 + " cafe\u0301 " + "o" * 400, "cafe", "caf\u00e9"),
    ],
    ids=["Chinese", "German", "Thai", "no spaces", "decomposed"],
)
async def test_a_snippet_has_the_word_in_any_language(
    store: Store, session: Session, text: str, query: str, expected: str
) -> None:
    await add_texts(store, session, text)
    (hit,) = (await store.search(ALICE.id, query, limit=10, offset=0)).items
    assert expected in hit.snippet
    assert len(hit.snippet) <= 300
