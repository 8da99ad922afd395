"""What the acknowledge page says around an answer: the form and the receipt."""

from collections.abc import Mapping

ANSWER: Mapping[str, tuple[str, str]] = {  # English, Spanish
    "form": ("Your answer", "Su respuesta"),
    "jump": ("Go to the answer", "Ir a la respuesta"),
    "opening": (
        "Opening this page has answered nothing. Only a button below does.",
        "Abrir esta página no ha respondido nada. Solo lo hace un botón de abajo.",
    ),
    "answer_received": ("We have received this", "Lo hemos recibido"),
    "answer_accepted": ("We accept: we will act", "Aceptamos: vamos a actuar"),
    "answer_need_more_time": ("We need more time", "Necesitamos más tiempo"),
    "answer_declined": ("This is not ours", "Esto no nos corresponde"),
    "means_accepted": (
        "Somebody at your agency has read this and will act.",
        "Alguien de su agencia ha leído esto y va a actuar.",
    ),
    "means_received": (
        "Your agency has this and is getting ready.",
        "Su agencia lo tiene y se está preparando.",
    ),
    "means_received_only": (
        "You have it, and it is not decided yet. Reminders go on.",
        "Lo tiene y aún no está decidido. Los recordatorios siguen.",
    ),
    "eta": ("If you need more time: until", "Si necesita más tiempo: hasta"),
    "reason": ("If this is not yours: why", "Si no le corresponde: por qué"),
    "choose": ("(choose)", "(elija)"),
    "reason_no_jurisdiction": ("not our area or duty", "no es nuestra zona o competencia"),
    "reason_no_capacity": ("we cannot take it on", "no podemos encargarnos"),
    "reason_duplicate": ("another message covers it", "otro mensaje ya lo cubre"),
    "reason_other": ("another reason (say it in the note)", "otro motivo (dígalo en la nota)"),
    "code": ("Code", "Código"),
    "code_hint": (
        "The six digits in the message with this link",
        "Las seis cifras del mensaje con este enlace",
    ),
    "code_hint_all": (
        "The six digits under this notice: the message has others under the rest",
        "Las seis cifras debajo de este aviso: el mensaje trae otras debajo de los demás",
    ),
    "name": ("Your name", "Su nombre"),
    "role": ("Your role", "Su cargo"),
    "note": ("Note (optional)", "Nota (opcional)"),
    "note_hint": (
        "No names of children or families, please.",
        "Por favor, sin nombres de niños o familias.",
    ),
    "remember": (
        "Remember my name and role on this phone",
        "Recordar mi nombre y mi cargo en este teléfono",
    ),
    "all_first": (
        "The first {count} of what else is in the same message",
        "Los primeros {count} de lo demás en el mismo mensaje",
    ),
    "all_more": ("More in the same message: {count}", "Más en el mismo mensaje: {count}"),
    "all_hint": (
        (
            "What is ticked is answered together with this notice, by the same code. Untick what is"
            " not settled: it stays open, and its own link answers it."
        ),
        (
            "Lo marcado se responde junto con este aviso, con el mismo código. Quite la marca de lo"
            " que no esté decidido: sigue abierto y se responde con su propio enlace."
        ),
    ),
    "all_reported": ("Reported {time}", "Comunicado el {time}"),
    "all_due": ("Answer by {time}", "Responda antes del {time}"),
    "all_accepted": (
        "We accept this and all that are ticked",
        "Aceptamos este y todos los marcados",
    ),
    "all_received": (
        "We have received this and all that are ticked",
        "Hemos recibido este y todos los marcados",
    ),
    "all_done": ("Answered with it", "Respondido junto con él"),
    "all_still": (
        "Still open: accept or decline it by its own link. Its reminders go on.",
        "Sigue abierto: acéptelo o rechácelo con su propio enlace. Sus recordatorios siguen.",
    ),
    "all_still_two": (
        "Still open: another person at the agency has to confirm too. Its reminders go on.",
        (
            "Sigue abierto: otra persona de la agencia también tiene que confirmar. Sus"
            " recordatorios siguen."
        ),
    ),
    "all_left": (
        "Not recorded. Open its own link in the message.",
        "No registrado. Abra su propio enlace del mensaje.",
    ),
    "all_open": (
        "Left open from the same message: {count}. Open this link again, or their own.",
        "Quedan abiertos del mismo mensaje: {count}. Abra de nuevo este enlace o el suyo propio.",
    ),
    "all_rest": (
        "More of the same message may still be open. Open this link again.",
        "Puede quedar más del mismo mensaje sin responder. Abra de nuevo este enlace.",
    ),
    "not_you": (
        "Not you? Send this to someone else",
        "¿No es usted? Envíelo a otra persona",
    ),
    "not_you_text": (
        (
            "If somebody else at your agency should answer, send them the whole message: its link"
            " and its code work for them too, and they type their own name. Send it only to whoever"
            " answers for your agency. If it is nobody's at your agency, say that it is not yours,"
            " or ring the operators."
        ),
        (
            "Si debe responder otra persona de su agencia, envíele el mensaje completo: el enlace y"
            " el código también le sirven, y escribe su propio nombre. Envíelo solo a quien"
            " responda por su agencia. Si no es de nadie de su agencia, diga que no les"
            " corresponde o llame a los operadores."
        ),
    ),
    "operators": ("The bus's operators:", "Operadores del sistema:"),
    "meaning": ("What accepting means", "Qué significa aceptar"),
    "meaning_text": (
        (
            "Accepting says that the person named here has read the notice and that the agency will"
            " act on it or answer. It takes no child into custody, opens no investigation, and does"
            " not approve the action. It is not a report of abuse or neglect and replaces none."
        ),
        (
            "Aceptar dice que la persona nombrada aquí leyó el aviso y que la agencia actuará o"
            " responderá. No pone a ningún niño bajo custodia, no abre una investigación y no"
            " aprueba"
            " la acción. No es una denuncia de maltrato o negligencia ni sustituye ninguna."
        ),
    ),
    "read_only": (
        "You read along as the bus's operator. Record what the recipient tells you in the report.",
        (
            "Usted lee como operador del sistema. Registre en el informe lo que le diga el"
            " destinatario."
        ),
    ),
    "done": ("Your answer is recorded", "Su respuesta está registrada"),
    "done_again": (
        "This answer was recorded already; nothing was added",
        "Esta respuesta ya estaba registrada; no se añadió nada",
    ),
    "recorded": ("Recorded", "Registrada"),
    "by": ("By", "Por"),
    "answer": ("Answer", "Respuesta"),
    "late": ("after the time asked for", "después de la hora pedida"),
    "reference": ("Reference", "Referencia"),
    "receipt": ("Receipt", "Recibo"),
    "next": ("What happens next", "Qué pasa ahora"),
    "todo": ("What to do next", "Qué hacer ahora"),
    "todo_act": (
        (
            "See to it that somebody acts now, and tell whoever else at your agency got this"
            " message that it is answered."
        ),
        (
            "Asegúrese de que alguien actúe ahora, y diga a quien más de su agencia recibió este"
            " mensaje que ya está respondido."
        ),
    ),
    "todo_keep": (
        (
            "Write the reference down. If things change, open this link again or ring the"
            " operators; a new message comes if the notice changes."
        ),
        (
            "Anote la referencia. Si algo cambia, abra de nuevo este enlace o llame a los"
            " operadores; si el aviso cambia, llega un mensaje nuevo."
        ),
    ),
    "next_closed": (
        "Reminders to your agency stop. You can close this page.",
        "Los recordatorios a su agencia terminan. Puede cerrar esta página.",
    ),
    "next_closed_here": (
        "Reminders about this notice stop. Those about what is still open, above, go on.",
        (
            "Los recordatorios sobre este aviso terminan. Los de lo que sigue abierto, arriba,"
            " siguen."
        ),
    ),
    "next_received": (
        (
            "The bus knows that you have it. It still needs your agency to accept or decline;"
            " reminders go on until then."
        ),
        (
            "El sistema sabe que lo tiene. Falta que su agencia acepte o rechace; los recordatorios"
            " siguen hasta entonces."
        ),
    ),
    "next_two": (
        (
            "Another person at your agency has to confirm too; reminders go on until then. You can"
            " close this page."
        ),
        (
            "Otra persona de su agencia también tiene que confirmar; los recordatorios siguen hasta"
            " entonces. Puede cerrar esta página."
        ),
    ),
    "next_declined_two": (
        (
            "Your agency has declined this. Another person at it has to accept too before it counts"
            " as taken on, and nobody is asked by itself: tell them, or ring the operators."
        ),
        (
            "Su agencia lo ha rechazado. Otra persona de ella también tiene que aceptar para que"
            " cuente como asumido, y nadie más recibe aviso: dígaselo o llame a los operadores."
        ),
    ),
    "next_declined_yet": (
        (
            "Your agency has declined this. If somebody acts on it after all, open this link again"
            " and accept, or ring the operators."
        ),
        (
            "Su agencia lo ha rechazado. Si alguien se encarga después de todo, abra de nuevo este"
            " enlace y acepte, o llame a los operadores."
        ),
    ),
    "next_more_time": (
        "Reminders wait until {eta}. Open this link again to accept or decline.",
        (
            "Los recordatorios esperan hasta el {eta}. Abra de nuevo este enlace para aceptar o"
            " rechazar."
        ),
    ),
    "next_declined": (
        "Reminders to your agency stop. The operators see that this is still without a taker.",
        "Los recordatorios a su agencia terminan. Los operadores ven que aún nadie se encarga.",
    ),
    "next_noted": (
        "It is recorded and changes nothing else. You can close this page.",
        "Queda registrada y no cambia nada más. Puede cerrar esta página.",
    ),
}
